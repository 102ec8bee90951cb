//! Names of entries: what of them is LiteLLM's routing, and what the model's own name.

use farebox_pricing::provider;

/// Provider id and model name of the entry `key`; `None` when one is not well-formed.
pub(super) fn of(key: &str, litellm_provider: &str) -> Option<(String, String)> {
    let provider = provider::normalise(litellm_provider)?.into_owned();
    let name = match key.split_once('/') {
        Some((route, rest)) if is_route(route, litellm_provider, &provider) => rest,
        _ => key,
    };
    let named = !name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
    named.then(|| (provider, name.to_owned()))
}

fn is_route(route: &str, litellm_provider: &str, provider: &str) -> bool {
    route.replace('-', "_") == litellm_provider.replace('-', "_")
        || provider::canonical(route).is_some_and(|canonical| canonical == provider)
}

/// `us-gov-west-1/anthropic.claude-v2` → the region and the model in it.
pub(super) fn region(name: &str) -> Option<(&str, &str)> {
    let (first, rest) = name.split_once('/')?;
    let zones = ["eu", "us", "global", "global-standard", "apac", "au", "jp"];
    let is_cloud_region = || {
        let parts: Vec<&str> = first.split('-').collect();
        let numbered = parts
            .last()
            .is_some_and(|last| last.len() == 1 && last.bytes().all(|b| b.is_ascii_digit()));
        let words = parts.iter().rev().skip(1);
        parts.len() >= 3
            && numbered
            && words
                .clone()
                .all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
            && parts.first().is_some_and(|country| country.len() == 2)
    };
    (zones.contains(&first) || is_cloud_region()).then_some((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_is_no_part_of_the_name() {
        for (key, litellm_provider, provider, name) in [
            ("gpt-4o", "openai", "openai", "gpt-4o"),
            (
                "gemini/gemini-2.5-flash",
                "gemini",
                "google",
                "gemini-2.5-flash",
            ),
            (
                "gemini-2.5-flash",
                "vertex_ai-language-models",
                "vertex_ai",
                "gemini-2.5-flash",
            ),
            (
                "vertex_ai/mistral-large",
                "vertex_ai-mistral_models",
                "vertex_ai",
                "mistral-large",
            ),
            (
                "amazon-nova/nova-pro",
                "amazon_nova",
                "amazon_nova",
                "nova-pro",
            ),
            (
                "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
                "together_ai",
                "together",
                "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            ),
            (
                "low/1024-x-1024/gpt-image-1",
                "openai",
                "openai",
                "low/1024-x-1024/gpt-image-1",
            ),
        ] {
            let expected = Some((provider.to_owned(), name.to_owned()));
            assert_eq!(of(key, litellm_provider), expected, "{key}");
        }
        assert_eq!(of("x", "no provider"), None);
    }

    #[test]
    fn regions_are_told_from_publishers() {
        assert_eq!(
            region("us-east-1/amazon.nova"),
            Some(("us-east-1", "amazon.nova"))
        );
        assert_eq!(region("us-gov-west-1/a/b"), Some(("us-gov-west-1", "a/b")));
        assert_eq!(region("eu/gpt-4o"), Some(("eu", "gpt-4o")));
        for name in [
            "meta-llama/Llama-3",
            "gpt-4o",
            "1024-x-1024/dall-e-3",
            "z-ai-1/glm",
        ] {
            assert_eq!(region(name), None, "{name}");
        }
    }
}
