"""What providers say when they refuse, in their many words and forms, and the class that each comes down to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.providers.refusal import Kind, read, shown, verdict

SENT = ("temperature", "reasoning_effort", "max_tokens", "thinking", "thinkingConfig", "system")


def kind_of(status: int, body: Any, model: str = "") -> Kind:
    return verdict(read(status, body if isinstance(body, str) else json.dumps(body)), SENT, model).kind


def error(message: str, **rest: Any) -> dict[str, Any]:
    return {"error": {"message": message, **rest}}


KEY = [
    (401, error("Invalid API Key", type="invalid_request_error", code="invalid_api_key")),
    (401, {}),
    (401, "<html>Unauthorized</html>"),
    (401, error("No auth credentials found", code=401)),
    (401, {"message": "Unauthorized"}),
    (401, {"detail": "Could not validate credentials"}),
    (403, error("Your organization is restricted.", code="organization_restricted")),
    (403, error("Your API key does not have permission to use the specified resource.", type="permission_error")),
    (403, error("Country, region, or territory not supported", code="unsupported_country_region_territory")),
    (403, error("Your account has been flagged for violating our usage policies and is disabled")),
    (403, error("Your API key was reported as leaked. Please use another API key.", status="PERMISSION_DENIED")),
    (403, error("Generative Language API has not been used in project 1 before", status="PERMISSION_DENIED")),
    (403, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}),
    (400, [error("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT")]),
    (400, error("API key expired. Please renew the API key.", status="INVALID_ARGUMENT")),
    (400, error("User location is not supported for the API use.", status="FAILED_PRECONDITION")),
    (200, error("Invalid API key", code="invalid_api_key")),
    (200, {"code": 401, "message": "token is invalid"}),
    (200, [error("API KEY NOT VALID", CODE=400)]),
    (422, {"detail": [{"loc": ["header", "authorization"], "msg": "invalid bearer token", "type": "value_error"}]}),
]
BILL = [
    (402, error("Insufficient Balance")),
    (402, {}),
    (429, error("You exceeded your current quota, please check your plan", type="insufficient_quota")),
    (429, error("Insufficient balance or no resource package. Please recharge.", code="1113")),
    (400, error("Your credit balance is too low to access the API.", type="invalid_request_error")),
    (403, error("Your team x has either used all available credits or reached its monthly spending limit.")),
    (200, error("This request requires more credits, or fewer max_tokens", code=402)),
    (403, error("Key limit exceeded (total limit)", code=403)),
]
MODEL = [
    (404, error("The model `x` does not exist or you do not have access to it.", code="model_not_found")),
    (404, error("model: claude-x", type="not_found_error")),
    (404, error("models/x is not found for API version v1beta, or is not supported for generateContent.")),
    (404, error("model 'llama3.1' not found, try pulling it first", type="not_found_error")),
    (403, error("Project `proj_x` does not have access to model `gpt-4o`", code="model_not_found")),
    (403, error("You do not have access to the model.", code=403)),
    (403, error("The model `x` is blocked at the organization level", code="model_permission_blocked_org")),
    (403, {"message": "This key is not allowed to use this model"}),
    (401, error("Your plan has no permission to use the model gpt-6")),
    (400, {"object": "error", "message": "Invalid model: mistral-tiny-2312", "type": "invalid_model", "code": "1500"}),
    (
        400,
        error("The model `llama-3.1` has been decommissioned and is no longer supported.", code="model_decommissioned"),
    ),
    (400, error("The model `x` requires terms acceptance.", code="model_terms_required")),
    (400, error("gpt-9 is not a valid model ID", code=400)),
    (400, {"detail": "Unknown Model, please check the model code."}),
    (400, {"message": "Model Not Exist"}),
    (404, error("No endpoints found for x/y:free.", code=404)),
    (400, {"error": "Model x/y is not supported by any provider"}),
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}),
    (403, {"Message": "You don't have access to the model with the specified model ID."}),
    (403, error("Permission 'endpoints.predict' denied on resource '//x/models/y' (or it may not exist)")),
    (
        404,
        {
            "message": "Model does not exist or you do not have access to it.",
            "type": "not_found_error",
            "param": "model",
        },
    ),
    (410, {}),
    (404, "404 page not found"),
    (422, {"detail": [{"loc": ["body", "model"], "msg": "model x is not available"}]}),
    (200, error("No endpoints found for x/y.", code=404)),
    (429, error("Quota exceeded for metric: free_tier_requests, limit: 0, model: gemini-2.5-pro")),
]
CONTENT = [
    (
        403,
        error(
            "Your chosen model requires moderation and your input was flagged", code=403, metadata={"reasons": ["x"]}
        ),
    ),
    (403, error("Denied", code=403, metadata={"flagged_input": "…", "provider_name": "X"})),
    (403, {"message": "Input blocked by content safety", "code": "ContentBlocked"}),
    (403, error("The prompt was rejected because it violates our usage policies")),
    (
        400,
        error(
            "The response was filtered due to the prompt triggering content management policy", code="content_filter"
        ),
    ),
    (400, error("Content Exists Risk", code="invalid_request_error")),
    (400, error("Input data may contain inappropriate content.", code="data_inspection_failed")),
    (
        400,
        error(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
    ),
    (400, {"code": "1301", "message": "System detected potentially unsafe or sensitive content in input"}),
    (400, error("Filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})),
    (
        403,
        {"code": "The caller does not have permission", "error": "Content violates usage guidelines. Failed check: X"},
    ),
    (400, error("Output blocked by content filtering policy", type="invalid_request_error")),
    (400, error("Your request was rejected as a result of our safety system")),
    (451, {"detail": "Text violates the acceptable use policy"}),
    (200, error("flagged by moderation", code=403)),
    (422, {"message": "Harmful content detected"}),
]
LIMIT = [
    (429, error("Service tier capacity exceeded for this model.", type="service_tier_capacity_exceeded", code="3505")),
    (429, {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"}),
    (429, {}),
    (429, "slow down"),
    (429, {"detail": "Rate limit exceeded"}),
    (200, error("Rate limit exceeded: free-models-per-day. Add 10 credits", code=429)),
    (200, error("Rate limit exceeded: free-models-per-day. Add more credits to unlock", code="429")),
    (200, {"status": "RESOURCE_EXHAUSTED", "message": "try again"}),
    (200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit reached"}}),
    (403, error("Key limit exceeded (daily limit). Manage it", code=403)),
    (
        403,
        {"error": {"errors": [{"domain": "usageLimits", "reason": "rateLimitExceeded"}], "code": 403, "message": "x"}},
    ),
    (403, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes"}),
    (400, error("Too many requests", code="TooManyRequests")),
    (420, {"message": "Enhance your calm: too many requests"}),
    (500, error("upstream", code=429)),
    (503, error("too many requests", status="RESOURCE_EXHAUSTED", code=429)),
]
LARGE = [
    (413, error("Request too large for model `x` on tokens per minute (TPM): Limit 6000", code="rate_limit_exceeded")),
    (429, error("Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 12000.")),
    (400, error("This model's maximum context length is 4096 tokens.", code="context_length_exceeded")),
    (400, error("prompt is too long: 300000 tokens > 200000 maximum", type="invalid_request_error")),
    (413, {}),
]
FAULT = [
    (498, {}),
    (498, error("Flex tier capacity exceeded", type="flex_capacity_exceeded")),
    (500, {}),
    (502, "<html>"),
    (503, error("The model is overloaded. Please try again later.", status="UNAVAILABLE")),
    (529, error("Overloaded", type="overloaded_error")),
    (200, error("Upstream is overloaded", code=502)),
    (200, error("Provider returned error", code="503")),
    (599, {}),
    (200, {"type": "error", "message": "internal server error"}),
]
PASSING = [
    (403, "<html>Just a moment...</html>"),
    (403, "error code: 1010"),
    (403, ""),
    (302, ""),
    (408, {}),
    (409, error("conflict")),
    (425, {}),
    (499, {}),
    (418, {"message": "teapot"}),
    (200, {"error": True, "message": "hmm"}),
]
REQUEST = [
    (400, error("Request contains an invalid argument.", status="INVALID_ARGUMENT")),
    (400, {}),
    (422, {"detail": [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}]}),
    (415, {}),
]
ALL = [
    (row, kind)
    for kind, rows in (
        (Kind.KEY, KEY), (Kind.BILL, BILL), (Kind.MODEL, MODEL), (Kind.CONTENT, CONTENT), (Kind.LIMIT, LIMIT),
        (Kind.LARGE, LARGE), (Kind.FAULT, FAULT), (Kind.PASSING, PASSING), (Kind.REQUEST, REQUEST),
    )
    for row in rows
]  # fmt: skip


@pytest.mark.parametrize(("row", "kind"), ALL, ids=[f"{kind.value}-{json.dumps(row)[:60]}" for row, kind in ALL])
def test_a_refusal_comes_down_to_its_class(row: tuple[int, Any], kind: Kind) -> None:
    assert kind_of(*row) is kind


@pytest.mark.parametrize(("row", "kind"), ALL, ids=[f"{kind.value}-{json.dumps(row)[:60]}" for row, kind in ALL])
def test_neither_case_nor_wrapping_changes_the_class(row: tuple[int, Any], kind: Kind) -> None:
    status, body = row
    if isinstance(body, str):
        return
    assert kind_of(status, [body]) is kind
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        assert kind_of(status, inner) is kind
        assert kind_of(status, {"ERROR": {key.upper(): value for key, value in inner.items()}}) is kind
        assert (
            kind_of(status, {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps(body)}}})
            is kind
        )


LESSONS = [
    ("temperature", 400, error("Unsupported value: 'temperature' does not support 0.9 with this model.", param="temperature")),
    ("temperature", 400, error("`temperature` is deprecated for this model.", type="invalid_request_error")),
    ("temperature", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}),
    ("temperature", 400, error("reasoning models do not support temperature")),
    ("reasoning_effort", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "reasoning_effort"], "msg": "x"}]}),
    ("reasoning_effort", 400, error("Unrecognized request argument supplied: reasoning_effort")),
    ("reasoning_effort", 400, error("property 'reasoning_effort' is unsupported")),
    ("reasoning_effort", 422, {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "reasoning_effort"]}]}}),
    ("max_tokens", 400, error("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.")),
    ("thinkingConfig", 400, error('Invalid JSON payload received. Unknown name "thinkingLevel" at generation_config')),
    ("thinkingConfig", 400, error("Unable to submit request: thinking_budget is out of range; supported values are 128 to 32768")),
    ("system", 400, error("Developer instruction is not enabled for models/gemma-3-27b-it", status="INVALID_ARGUMENT")),
    ("system", 400, error("Unsupported value: 'messages[0].role' does not support 'system'", param="messages[0].role")),
    ("system", 400, error("System role not supported")),
    ("system", 400, error("system: Extra inputs are not permitted", type="invalid_request_error")),
    ("temperature", 400, error("temperature: range: 0..1", type="invalid_request_error")),
    ("system", 400, error("role 'system' is not supported on this model")),
    ("system", 422, error("Failed to deserialize the JSON body: messages[0].role: unknown variant `system`, expected `user`")),
    ("reasoning_effort", 400, {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: reasoningEffort"}),
    ("thinkingConfig", 400, error(json.dumps({"error": {"code": 400, "message": "The thinking budget (0) is invalid."}}), code=400)),
    ("thinkingConfig", 400, error("Unable to submit request because The model does not support setting thinking_budget to 0")),
    ("system", 500, error("Jinja Exception: System role not supported", code=500)),
    ("system", 400, error("Conversation roles must alternate user/assistant/user/assistant/...")),
    ("system", 422, {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]}),
    ("system", 400, error('Invalid JSON payload received. Unknown name "systemInstruction": Cannot find field.')),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "body"), LESSONS)
def test_a_refusal_names_what_the_model_does_not_take(name: str, status: int, body: Any) -> None:
    sent = [each for each in SENT if name not in {"reasoning_effort", "thinkingConfig"} or each != "thinking"]
    sent = [each for each in sent if name != "thinkingConfig" or each != "reasoning_effort"]
    found = verdict(read(status, json.dumps(body)), sent)
    assert (found.kind, found.lesson) == (Kind.REQUEST, name)


@pytest.mark.parametrize(
    "message",
    [
        "Budget 0 is invalid. This model only works in thinking mode.",
        "Reasoning is mandatory for this endpoint and cannot be disabled.",
        "This model cannot be used with thinking turned off",
    ],
)
@pytest.mark.parametrize("ours", ["reasoning_effort", "thinking", "thinkingConfig"])
def test_thinking_that_cannot_be_off_is_about_whatever_we_call_it(message: str, ours: str) -> None:
    assert verdict(read(400, json.dumps(error(message))), ("temperature", ours, "system")).lesson == ours


def test_the_name_of_a_model_teaches_nothing() -> None:
    body = json.dumps(error("Invalid model: kimi-thinking"))
    assert verdict(read(400, body), SENT, "kimi-thinking").kind is Kind.MODEL


def test_what_was_not_sent_cannot_be_refused() -> None:
    body = json.dumps(error("Unsupported parameter: 'temperature'", param="temperature"))
    assert verdict(read(400, body), ("max_tokens",)).lesson == ""


def test_a_403_without_a_clear_word_is_a_guess() -> None:
    assert not verdict(read(403, json.dumps({"message": "Forbidden"}))).sure
    assert not verdict(read(404, "")).sure
    assert verdict(read(403, json.dumps(KEY[7][1]))).sure


def test_words_are_shown_wherever_they_stand() -> None:
    assert read(400, json.dumps({"object": "error", "message": "Invalid model: x"})).message == "Invalid model: x"
    assert read(422, json.dumps({"detail": [{"msg": "Field required"}]})).message == "Field required"
    assert read(500, json.dumps({"error": "no space left"})).message == "no space left"
    assert read(500, "upstream\nconnect error").message == "upstream connect error"
    assert read(500, "<html>").message == ""
    raw = {"error": {"message": "Provider returned error", "metadata": {"raw": "the model is busy"}}}
    assert "the model is busy" in read(502, json.dumps(raw)).message


def test_a_key_is_shown_neither_whole_nor_in_part() -> None:
    key = "sk-proj-abcdefghijklmnop"
    for text in (f"Incorrect key {key}.", "key sk-proj-abcd", "key sk-*****mnop", "ends in …mnop"):
        assert not {"mnop", "sk-pro", "abcd"} & {
            part for word in shown(text, key).split() for part in (word[-4:], word[:6])
        }
    assert len(shown("x" * 5000, key)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "loc", "headers", "status", "raw", "x"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.integers(0, 999), JSON)
def test_whatever_comes_has_a_class(status: int, body: Any) -> None:
    assert isinstance(kind_of(status, body), Kind)


def test_a_body_that_is_made_to_hurt_is_read_no_further() -> None:
    for body in ("[" * 200_000, '{"error":' * 100_000, json.dumps(error("x " * 100_000)), "9" * 100_000):
        assert isinstance(verdict(read(400, body), SENT).kind, Kind)
    wide = json.dumps({"error": [{"message": "a", "code": n} for n in range(20_000)]})
    assert len(read(400, wide).nodes) < 100
