//! The one table of provider ids: what they are called elsewhere, and which are related.
//!
//! Price sources, gateways and traces name the same provider differently (`gemini`,
//! `google-gla`, `gcp.gemini`). Everything inside Farebox uses the canonical id, so an id is
//! brought through [`normalise`] once, where it enters. It must not know prices or models.

use std::borrow::Cow;

/// Every id that has a row of its own, sorted.
const CANONICAL: [&str; 83] = [
    "ai21",
    "aihubmix",
    "aiml",
    "amazon_nova",
    "anthropic",
    "anyscale",
    "apify",
    "arcee",
    "assemblyai",
    "avian",
    "aws_polly",
    "azure",
    "azure_ai",
    "baseten",
    "bedrock",
    "bedrock_mantle",
    "black_forest_labs",
    "cerebras",
    "chatgpt",
    "cloudflare",
    "cohere",
    "crusoe",
    "cursor",
    "dashscope",
    "databricks",
    "deepgram",
    "deepinfra",
    "deepseek",
    "doubleword",
    "elevenlabs",
    "exa",
    "fal",
    "featherless",
    "firecrawl",
    "fireworks",
    "friendliai",
    "gigachat",
    "github_copilot",
    "google",
    "gradient",
    "groq",
    "huggingface",
    "hyperbolic",
    "inception",
    "jina",
    "lambda",
    "llamagate",
    "meta",
    "minimax",
    "mistral",
    "modal",
    "moonshot",
    "morph",
    "nebius",
    "novita",
    "nscale",
    "nvidia_nim",
    "oci",
    "ollama",
    "openai",
    "openrouter",
    "ovhcloud",
    "perplexity",
    "replicate",
    "runway",
    "sagemaker",
    "sambanova",
    "scaleway",
    "serper",
    "snowflake",
    "stability",
    "tavily",
    "tencent",
    "together",
    "vercel_ai_gateway",
    "vertex_ai",
    "volcengine",
    "voyage",
    "wandb",
    "watsonx",
    "xai",
    "zai",
    "zhipuai",
];

/// What else a provider is called, sorted by that name.
const ALIASES: [(&str, &str); 77] = [
    ("amazon", "bedrock"),
    ("amazon-bedrock", "bedrock"),
    ("amazon_bedrock", "bedrock"),
    ("aws", "bedrock"),
    ("aws.bedrock", "bedrock"),
    ("aws_bedrock", "bedrock"),
    ("az.ai.inference", "azure_ai"),
    ("az.ai.openai", "azure"),
    ("azure-ai", "azure_ai"),
    ("azure-openai", "azure"),
    ("azure.ai.inference", "azure_ai"),
    ("azure.ai.openai", "azure"),
    ("azure_openai", "azure"),
    ("azure_text", "azure"),
    ("bedrock_converse", "bedrock"),
    ("cloudflare-workers-ai", "cloudflare"),
    ("codestral", "mistral"),
    ("cohere_chat", "cohere"),
    ("deep_infra", "deepinfra"),
    ("exa_ai", "exa"),
    ("fal_ai", "fal"),
    ("featherless_ai", "featherless"),
    ("fireworks-ai", "fireworks"),
    ("fireworks_ai", "fireworks"),
    ("fireworks_ai-embedding-models", "fireworks"),
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("gcp.vertex_ai", "vertex_ai"),
    ("gemini", "google"),
    ("github-copilot", "github_copilot"),
    ("google-ai-studio", "google"),
    ("google-genai", "google"),
    ("google-gla", "google"),
    ("google-vertex", "vertex_ai"),
    ("google-vertex-ai", "vertex_ai"),
    ("google_ai", "google"),
    ("google_ai_studio", "google"),
    ("google_genai", "google"),
    ("google_vertex", "vertex_ai"),
    ("google_vertex_ai", "vertex_ai"),
    ("googleai", "google"),
    ("gradient_ai", "gradient"),
    ("ibm.watsonx.ai", "watsonx"),
    ("jina_ai", "jina"),
    ("lambda_ai", "lambda"),
    ("meta-llama", "meta"),
    ("meta_llama", "meta"),
    ("mistral-ai", "mistral"),
    ("mistral_ai", "mistral"),
    ("mistralai", "mistral"),
    ("moonshot_ai", "moonshot"),
    ("moonshotai", "moonshot"),
    ("novita-ai", "novita"),
    ("open-router", "openrouter"),
    ("open_router", "openrouter"),
    ("perplexity-ai", "perplexity"),
    ("perplexity_ai", "perplexity"),
    ("pplx", "perplexity"),
    ("runwayml", "runway"),
    ("text-completion-codestral", "mistral"),
    ("text-completion-inception", "inception"),
    ("text-completion-openai", "openai"),
    ("together-ai", "together"),
    ("together_ai", "together"),
    ("togetherai", "together"),
    ("vercel", "vercel_ai_gateway"),
    ("vercel-ai-gateway", "vercel_ai_gateway"),
    ("vertex", "vertex_ai"),
    ("vertex-ai", "vertex_ai"),
    ("vertexai", "vertex_ai"),
    ("voyage-ai", "voyage"),
    ("voyage_ai", "voyage"),
    ("voyageai", "voyage"),
    ("x-ai", "xai"),
    ("x_ai", "xai"),
    ("z-ai", "zai"),
    ("z_ai", "zai"),
];

/// The longest provider id, in bytes.
pub const ID_LEN_MAX: usize = 64;

/// The canonical id for `id`, a canonical id or an alias in lower case; `None` for an unknown one.
pub fn canonical(id: &str) -> Option<&'static str> {
    if let Ok(at) = CANONICAL.binary_search(&id) {
        return CANONICAL.get(at).copied();
    }
    if let Ok(at) = ALIASES.binary_search_by_key(&id, |(alias, _)| alias) {
        return ALIASES.get(at).map(|(_, canonical)| *canonical);
    }
    // LiteLLM splits Vertex AI by publisher: `vertex_ai-language-models`, `vertex_ai-zai_models`.
    id.starts_with("vertex_ai-").then_some("vertex_ai")
}

/// The id to use for `id`: canonical where the table knows it, else `id` itself in lower case.
/// `None` when it is not a well-formed id (see [`is_well_formed`]).
pub fn normalise(id: &str) -> Option<Cow<'_, str>> {
    let lower: Cow<'_, str> = if id.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(id.to_ascii_lowercase())
    } else {
        Cow::Borrowed(id)
    };
    if let Some(canonical) = canonical(&lower) {
        return Some(Cow::Borrowed(canonical));
    }
    is_well_formed(&lower).then_some(lower)
}

/// Whether `id` is 1 to 64 of `a-z 0-9 . _ -` and begins with a letter or digit.
pub fn is_well_formed(id: &str) -> bool {
    id.len() <= ID_LEN_MAX
        && id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && id
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// Providers that sell the same models at the same list prices, tried in order when `provider`
/// (a canonical id) has no entry for a model. Nearly always empty: only what is declared here.
pub fn related(provider: &str) -> &'static [&'static str] {
    match provider {
        "google" => &["vertex_ai"],
        "vertex_ai" => &["google"],
        "azure" => &["openai"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_every_alias_leads_to_a_row() {
        assert!(CANONICAL.is_sorted_by(|a, b| a < b));
        assert!(ALIASES.is_sorted_by(|a, b| a.0 < b.0));
        for (alias, id) in ALIASES {
            assert!(CANONICAL.contains(&id), "{alias} leads to {id}");
            assert!(!CANONICAL.contains(&alias), "{alias} is canonical itself");
            assert!(is_well_formed(alias), "{alias}");
        }
        for id in CANONICAL {
            assert!(is_well_formed(id), "{id}");
            for other in related(id) {
                assert!(CANONICAL.contains(other), "{id} is related to {other}");
            }
        }
    }

    #[test]
    fn ids_of_every_source_are_brought_to_one() {
        for (id, expected) in [
            ("gemini", "google"),
            ("Gemini", "google"),
            ("vertex_ai-language-models", "vertex_ai"),
            ("vertex_ai-anthropic_models", "vertex_ai"),
            ("bedrock_converse", "bedrock"),
            ("aws", "bedrock"),
            ("x-ai", "xai"),
            ("together_ai", "together"),
            ("moonshotai", "moonshot"),
            ("openai", "openai"),
            ("my-own.gateway", "my-own.gateway"),
        ] {
            assert_eq!(normalise(id).as_deref(), Some(expected), "{id}");
        }
        for bad in ["", "-x", "a b", "a/b", "ü", &"a".repeat(65)] {
            assert_eq!(normalise(bad), None, "{bad}");
        }
    }

    #[test]
    fn relations_are_what_is_declared() {
        assert_eq!(related("google"), ["vertex_ai"]);
        assert_eq!(related("azure"), ["openai"]);
        assert!(
            related("openai").is_empty(),
            "azure's prices are not OpenAI's"
        );
    }
}
