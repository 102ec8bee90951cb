//! Azure OpenAI and Azure AI Foundry answer as OpenAI does.
//!
//! What is different bills nothing: `prompt_filter_results` and `content_filter_results` beside the
//! choices, a first chunk with an empty model and no choices, and a deployment's name where the
//! caller asked for a model. The answer names the model behind the deployment; a price book can
//! alias deployments whose answers do not.
//!
//! Source: Microsoft Learn, "Azure OpenAI in Foundry Models REST API reference" and "Content
//! filtering" (November 2026).

use crate::source::{Source, row};

pub(in crate::family) const SOURCES: &[Source] = &[
    row("azure", "chat", "usage.prompt_tokens", "input"),
    row("azure", "chat", "usage.completion_tokens", "output"),
];
