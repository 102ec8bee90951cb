//! The state of an instance, as the component that begins with it.

use super::super::instance::Guard;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{ComponentNamedList, Instance, Lift, WasmList};
use wasmtime::{Result, Store, bail, format_err};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

/// Reads what the instance holds, and writes the component anew with it.
///
/// # Errors
/// Its state cannot be read: its memory is as large as it may be.
pub fn take(
    wizer: &Wizer,
    parts: &ComponentContext<'_>,
    store: &mut Store<Guard>,
    instance: Instance,
) -> Result<Vec<u8>> {
    let mut inside = Inside {
        store,
        instance,
        failed: None,
    };
    let taken = {
        let taken = pin!(wizer.snapshot_component(parts, &mut inside));
        // Nothing in it waits: each call of the instance is over when it returns.
        match taken.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => taken,
            Poll::Pending => bail!("a snapshot waits for something"),
        }
    };
    inside.failed.map_or(taken, Err)
}

struct Inside<'a> {
    store: &'a mut Store<Guard>,
    instance: Instance,
    /// The first call that failed: whoever takes the snapshot does not ask.
    failed: Option<wasmtime::Error>,
}

impl Inside<'_> {
    fn call<R: Lift + Send + Sync + 'static>(&mut self, instance: &str, function: &str) -> Option<R>
    where
        (R,): ComponentNamedList + Lift,
    {
        let found = self.function(instance, function);
        let answer = found.and_then(|function| {
            let function = function.typed::<(), (R,)>(&self.store)?;
            function.call(&mut *self.store, ())
        });
        match answer {
            Ok((answer,)) => Some(answer),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    fn function(&mut self, instance: &str, function: &str) -> Result<wasmtime::component::Func> {
        let absent = || format_err!("no function `{function}` of `{instance}`");
        let (_, instance) = self
            .instance
            .get_export(&mut *self.store, None, instance)
            .ok_or_else(absent)?;
        let (_, found) = self
            .instance
            .get_export(&mut *self.store, Some(&instance), function)
            .ok_or_else(absent)?;
        self.instance
            .get_func(&mut *self.store, found)
            .ok_or_else(absent)
    }
}

impl ComponentInstanceState for Inside<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        if let Some(list) = self.call::<WasmList<u8>>(instance, func) {
            contents(list.as_le_slice(&*self.store));
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call(instance, func).map_or(0, f32::to_bits)
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call(instance, func).map_or(0, f64::to_bits)
    }
}
