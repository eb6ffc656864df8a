"""What each parameter of a body means, in a sentence: ours to say, since vendors' documents are not
ours to copy. A test fails where a body's struct and these differ.
"""

from __future__ import annotations

from collections.abc import Mapping

_SAMPLING = {
    "temperature": "How freely the next token is chosen: 0 takes the most likely one.",
    "top_p": "Only the most likely tokens that have this share together are chosen from.",
    "top_k": "Only so many of the most likely tokens are chosen from.",
}

_TEXT: Mapping[str, str] = {
    "model": "A configured name: `GET /v1/models` lists them.",
    "stream": "Whether the answer comes as events, while it is made.",
    "stream_options": "`include_usage` puts a last chunk with the usage in front of the end.",
    "max_tokens": "The most tokens that the answer may have.",
    **_SAMPLING,
    "min_p": "Leaves out tokens less likely than this share of the most likely one.",
    "presence_penalty": "Makes tokens that have occurred less likely.",
    "frequency_penalty": "Makes tokens less likely each time that they have occurred.",
    "repetition_penalty": "Divides the score of tokens that have occurred; 1 changes nothing.",
    "seed": "The same seed gives the same answer from a local model.",
    "stop": "The answer ends before any of these texts; at most 4.",
    "n": "How many answers are made of one prompt.",
    "response_format": "`text`, `json_object`, or `json_schema` with a schema that always holds.",
    "structured_outputs": "One of `json`, `regex`, `choice`, `grammar`, as vLLM has it.",
    "logit_bias": "Adds to the scores of tokens, by their ids.",
    "ignore_eos": "Goes on where the model would end, up to the most tokens.",
    "prompt_cache_key": "Requests that begin alike: they are sent to the same of equal targets.",
    "user": "As `prompt_cache_key`, where that is not said.",
}

CHAT: Mapping[str, str] = {
    **_TEXT,
    "messages": "The conversation so far.",
    "max_completion_tokens": "The newer name of `max_tokens`; it counts where both are there.",
    "tools": "Functions that the model may call.",
    "tool_choice": "`auto`, `none`, `required`, or the function that must be called.",
    "parallel_tool_calls": "Whether several functions may be called at once.",
    "functions": "The older form of `tools`.",
    "function_call": "The older form of `tool_choice`.",
    "logprobs": "Whether the answer tells how likely its tokens were.",
    "top_logprobs": "How many likely tokens are told for each place.",
    "reasoning_effort": "How much the model should think first, where it can.",
    "verbosity": "How long the answer should be: a hint, for targets that know it.",
    "moderation": "Has the vendor judge the texts: of targets that do.",
    "chat_template_kwargs": "Variables for a local model's chat template, as vLLM has them.",
    "continue_final_message": "Whether the last message, the assistant's, is to be gone on with.",
    "modalities": "What the answer is made of: a local model makes text.",
    "web_search_options": "Asks for a search of the web: of targets that have one.",
}

COMPLETIONS: Mapping[str, str] = {
    **_TEXT,
    "prompt": "What is gone on with: a text, texts, the tokens of one, or those of several.",
    "best_of": "How many answers are made, of which the best `n` are told.",
    "echo": "Whether the answer begins with the prompt.",
    "logprobs": "How many likely tokens are told for each place; at most 5.",
    "suffix": "The text behind the one that is to be filled in.",
}

_REFUSED = "Refused by name, unless it says nothing: what to do instead is in the message."

RESPONSES: Mapping[str, str] = {
    "model": _TEXT["model"],
    "input": "A text, or the items of the conversation.",
    "instructions": "What the model is told before the conversation.",
    "previous_response_id": "The answer that this one follows.",
    "store": "Whether the answer is kept, so that others can follow it.",
    "stream": _TEXT["stream"],
    "stream_options": "`include_obfuscation` pads events, so that their sizes tell nothing.",
    "tools": "Functions that the model may call, and tools that a vendor runs.",
    "tool_choice": "`auto`, `none`, `required`, or what must be called.",
    "parallel_tool_calls": "Whether several functions may be called at once.",
    "max_tool_calls": "How often tools that a vendor runs may be called.",
    "max_output_tokens": "The most tokens that the answer may have, its thoughts among them.",
    "temperature": _TEXT["temperature"],
    "top_p": _TEXT["top_p"],
    "presence_penalty": _TEXT["presence_penalty"],
    "frequency_penalty": _TEXT["frequency_penalty"],
    "top_logprobs": "How many likely tokens are told for each place.",
    "include": "What the answer holds beside its usual items.",
    "text": "The form of the answer's text, and how long it should be.",
    "reasoning": "How much the model should think first, and what of it is told.",
    "truncation": "`auto` leaves out the oldest turns where there is no room for all.",
    "metadata": "Up to 16 words of the app's own, told back.",
    "user": "As `prompt_cache_key`, where that is not said.",
    "safety_identifier": "The vendor's word for whoever asks; it is passed on.",
    "prompt_cache_key": _TEXT["prompt_cache_key"],
    "prompt_cache_retention": "How long a vendor keeps the beginning of a prompt.",
    "prompt_cache_options": "How a vendor keeps the beginning of a prompt.",
    "service_tier": "How soon a vendor answers, and at what price.",
    "image": "How a vendor treats pictures.",
    "background": _REFUSED,
    "background_options": _REFUSED,
    "conversation": _REFUSED,
    "prompt": _REFUSED,
    "context_management": _REFUSED,
    "moderation": _REFUSED,
    "access_programs": _REFUSED,
}

EMBEDDINGS: Mapping[str, str] = {
    "model": _TEXT["model"],
    "input": "A text, texts, the tokens of one, or those of several.",
    "encoding_format": "`float`, or `base64` of 32-bit floats, which is shorter.",
    "dimensions": "How many numbers a vector has, where the model has a choice.",
}

MESSAGES: Mapping[str, str] = {
    **_SAMPLING,
    "model": _TEXT["model"],
    "messages": "The conversation so far; a last turn of the assistant's is gone on with.",
    "max_tokens": "The most tokens that the answer may have.",
    "system": "What the model is told before the conversation.",
    "stream": _TEXT["stream"],
    "stop_sequences": "The answer ends before any of these texts.",
    "tools": "Functions that the model may call, and tools that a vendor defines or runs.",
    "tool_choice": "Of type `auto`, `any`, `tool` with a name, or `none`.",
    "thinking": "`enabled` with a budget of at least 1024 tokens, `disabled` or `adaptive`.",
    "output_config": "`effort`, and a `format` of type `json_schema`, which always holds.",
    "output_format": "What `output_config.format` was called in its beta.",
    "metadata": "`user_id` keeps the requests of one user on the same of equal targets.",
    "inference_geo": "Where it must be computed: of targets that let one say so.",
    "context_management": "Takes out what is in the way; edits that do more are for targets that "
    "make them.",
    "compaction": "Has the vendor shorten the conversation: of targets that do.",
    "thread": "A conversation that the vendor keeps: of targets that do.",
    "container": "A container of the vendor's: of targets that have one.",
    "mcp_servers": "Servers of tools that the vendor calls: of targets that do.",
}
