//! A filter that is told of every part of a call, in both directions, and lets all of it pass.

#[cfg(target_family = "wasm")]
mod filter {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType, LogLevel};

    struct Root;
    struct Call;

    impl Context for Root {}
    impl Context for Call {}

    impl RootContext for Root {
        fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Call))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    impl HttpContext for Call {
        fn on_http_request_headers(&mut self, _headers: usize, _ends: bool) -> Action {
            Action::Continue
        }

        fn on_http_request_body(&mut self, _bytes: usize, _ends: bool) -> Action {
            Action::Continue
        }

        fn on_http_response_headers(&mut self, _headers: usize, _ends: bool) -> Action {
            Action::Continue
        }

        fn on_http_response_body(&mut self, _bytes: usize, _ends: bool) -> Action {
            Action::Continue
        }
    }

    // SAFETY: the name that the proxy calls first; nothing else here has it.
    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        proxy_wasm::set_log_level(LogLevel::Warn);
        proxy_wasm::set_root_context(|_| Box::new(Root));
    }
}
