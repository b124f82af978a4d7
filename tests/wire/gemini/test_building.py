"""Requests for Google: the client's own fields, and nothing but what must differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.kit.money import Micro
from hypereal.wire.base import BARE, Answer, Envelope, Garbage, Renames, Usage
from hypereal.wire.conversation import Opaque
from hypereal.wire.gemini import GeminiCount, GeminiDialect
from hypereal.wire.gemini.signatures import UNSIGNED
from hypereal.wire.opaque import SEAL, seal
from tests.wire.gemini.asking import CONTENTS, COUNT, DIALECTS, EITHER, MODEL, accepted, body_of, refused

FOREIGN = seal(Opaque("anthropic", "theirs?>~"), "gemini")


def built(envelope: Envelope, model: str = MODEL, *, drop: frozenset[str] = frozenset(), rename: Renames = ()) -> bytes:
    return DIALECTS[envelope.endpoint.dialect].build(envelope, model, drop=drop, rename=rename)


def test_a_body_is_sent_byte_for_byte_whatever_the_model() -> None:
    body = body_of(generationConfig={"temperature": 1.50}, something_new={"a": [1, 2]}, safety_settings=[])
    assert built(accepted(body), "other") is body


def test_what_speaks_to_this_server_is_not_sent() -> None:
    body = body_of(model="m", stream=True, intent="chat-fast", hypereal={"cache": False}, labels={"a": "b"})
    assert json.loads(built(accepted(body, BARE, EITHER))) == {"contents": CONTENTS, "labels": {"a": "b"}}


def test_refused_fields_are_dropped_wherever_they_stand() -> None:
    body = body_of(generationConfig={"seed": 1, "topK": 2}, safetySettings=[])
    envelope = accepted(body)
    sent = json.loads(built(envelope, drop=frozenset({"seed", "safetySettings", "absent"})))
    assert sent == {"contents": CONTENTS, "generationConfig": {"topK": 2}}
    assert envelope.dropped == ("safetySettings", "seed")
    again = accepted(body)
    assert built(again, drop=frozenset({"absent"})) is body
    assert again.dropped == ()


def test_fields_are_renamed_unless_the_new_name_is_taken() -> None:
    body = body_of(labels={"a": "b"}, generationConfig={"topK": 2, "seed": 1, "random": 5})
    sent = json.loads(built(accepted(body), rename=(("labels", "tags"), ("topK", "k"), ("seed", "random"))))
    assert sent == {"contents": CONTENTS, "tags": {"a": "b"}, "generationConfig": {"k": 2, "random": 5}}


def turns(*parts: Any) -> list[dict[str, Any]]:
    return [*CONTENTS, {"role": "model", "parts": list(parts)}, *CONTENTS]


def sent_parts(*parts: Any, model: str = MODEL) -> Any:
    sent = json.loads(built(accepted(body_of(contents=turns(*parts))), model))["contents"]
    return [one["parts"] for one in sent if one["role"] == "model"]


def test_sealed_thoughts_of_another_provider_are_taken_out() -> None:
    thought = {"text": "Hm", "thought": True, "thoughtSignature": FOREIGN}
    own = {"text": "Hm", "thought": True, "thoughtSignature": "own=="}
    bare = {"text": "", "thoughtSignature": FOREIGN}
    assert sent_parts(thought, {"text": "Yes"}, bare, own) == [[{"text": "Yes"}, own]]
    assert sent_parts(thought, bare) == []


def test_a_seal_is_known_in_the_alphabet_for_urls() -> None:
    assert {"+", "/"} & set(FOREIGN)
    bare = {"text": "Yes", "thought_signature": FOREIGN.replace("+", "-").replace("/", "_")}
    assert sent_parts(bare) == [[{"text": "Yes"}]]


def test_a_call_of_another_provider_gets_googles_word_for_it() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    assert sent_parts({**call, "thoughtSignature": FOREIGN}) == [[{**call, "thoughtSignature": UNSIGNED}]]
    assert sent_parts({**call, "thoughtSignature": FOREIGN}, model="gemini-2.5-pro") == [[call]]


def test_a_seal_around_googles_own_token_is_opened() -> None:
    sealed = seal(Opaque("gemini", "own=="), "anthropic")
    assert sent_parts({"text": "Yes", "thoughtSignature": sealed}) == [[{"text": "Yes", "thoughtSignature": "own=="}]]


def test_what_bears_no_seal_stays_byte_for_byte() -> None:
    native = b'{"text" : "a",  "thoughtSignature":"x==" , "n": 1.0}'
    sealed = b'{"text":"b","thoughtSignature":"' + FOREIGN.encode() + b'"}'
    body = b'{"contents":[{"role":"model","parts":[' + native + b"," + sealed + b"]}]}"
    envelope = accepted(body)
    sent = built(envelope)
    assert envelope.dropped == ("thinking",)
    assert native in sent
    assert SEAL.encode() not in sent


@pytest.mark.parametrize(
    "contents",
    [
        [{"role": "model", "parts": [{"text": SEAL}]}],
        [{"role": "model", "parts": 5, "text": SEAL}],
        [{"role": "model", "parts": [[SEAL]]}],
        [SEAL, 5, [SEAL]],
    ],
)
def test_what_only_looks_like_a_seal_is_left_to_the_upstream(contents: Any) -> None:
    envelope = accepted(body_of(contents=contents))
    assert json.loads(built(envelope))["contents"] == json.loads(envelope.body)["contents"]


class TestCounting:
    def test_contents_alone_are_counted_as_they_are(self) -> None:
        envelope = accepted(body_of(model="m"), endpoint=COUNT)
        assert json.loads(built(envelope)) == {"contents": CONTENTS}

    def test_a_whole_request_is_wrapped(self) -> None:
        envelope = accepted(body_of(systemInstruction="Be brief", tools=[]), endpoint=COUNT)
        system = {"parts": [{"text": "Be brief"}]}
        inner = {"contents": CONTENTS, "systemInstruction": system, "tools": []}
        assert json.loads(built(envelope, "g")) == {"generateContentRequest": {"model": "models/g", **inner}}
        assert json.loads(built(envelope, "g", drop=frozenset({"generateContentRequest", "tools"}))) == {
            "contents": CONTENTS,
            "systemInstruction": system,
        }

    def test_a_wrapped_request_names_the_model_of_its_upstream(self) -> None:
        inner = {"model": "models/m", "contents": "Hi", "tools": [1]}
        envelope = accepted(body_of(contents=..., generateContentRequest=inner), endpoint=COUNT)
        wrapped = {"model": "models/g", "contents": CONTENTS, "tools": [1]}
        assert json.loads(built(envelope, "g")) == {"generateContentRequest": wrapped}

    def test_there_must_be_something_to_count(self) -> None:
        assert refused(body_of(contents=...), endpoint=COUNT).param == "contents"
        assert refused(body_of(contents=..., generateContentRequest={}), endpoint=COUNT).param == "contents"

    def test_seals_are_not_counted(self) -> None:
        part = {"text": "Yes", "thoughtSignature": FOREIGN}
        sent = built(accepted(body_of(contents=turns(part)), endpoint=COUNT))
        assert SEAL.encode() not in sent

    def test_a_count_is_an_answer(self) -> None:
        assert GeminiCount().read_answer(b'{"totalTokens": 5, "x": 1}') == Answer(is_complete=True)
        assert json.loads(GeminiCount().render_count(7)) == {"totalTokens": 7}

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"totalTokens": "x"}', b"[]"])
    def test_what_is_no_count_is_garbage(self, body: bytes) -> None:
        with pytest.raises(Garbage):
            GeminiCount().read_answer(body)


def test_an_answer_goes_to_the_client_as_it_came() -> None:
    body = b'{"candidates": []}'
    assert GeminiDialect().render_answer(accepted(body_of()), body, Usage(), Micro(0)) is body
