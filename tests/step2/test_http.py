import httpx2
import pytest

from step2_tools.tools.http import ResponseModel, ServiceRefused
from tests.step2.fake_services import refusal, service

URL = "https://api.example.org/v1/thing"


class Thing(ResponseModel):
    size: float


def busy(status=429, **headers):
    return httpx2.Response(status, headers=headers, text="slow down")


def get(api):
    return api.get("Example", URL, Thing, {"name": "a b"})


def test_a_good_answer_is_asked_for_once_and_by_name():
    api, seen = service({"size": 3, "more": "is ignored"})
    assert get(api).size == 3
    assert [(each.method, str(each.url)) for each in seen] == [("GET", f"{URL}?name=a+b")]
    assert "llm-roadmap" in seen[0].headers["user-agent"]


def test_it_waits_as_long_as_retry_after_says():
    slept = []
    api, seen = service(busy(**{"retry-after": "2"}), {"size": 3}, sleep=slept.append)
    assert get(api).size == 3
    assert (len(seen), slept) == (2, [2.0])


@pytest.mark.parametrize("header", ["3600", "1e99"])
def test_a_retry_after_that_is_too_long_is_an_error(header):
    slept = []
    api, seen = service(busy(**{"retry-after": header}), sleep=slept.append)
    assert "Example is busy or out of order (status 429) and asks to wait" in refusal(get, api)
    assert (len(seen), slept) == (1, [])


def test_after_three_attempts_with_growing_jittered_pauses_it_gives_up():
    slept = []
    api, seen = service(busy(503), sleep=slept.append)
    assert "(status 503); try again later" in refusal(get, api)
    assert len(seen) == 3
    assert 0.1 <= slept[0] <= 0.5
    assert 0.1 <= slept[1] <= 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (httpx2.ReadTimeout("x"), "Example did not answer in time"),
        (httpx2.ConnectError("[Errno 111] secret.internal"), "Example cannot be reached"),
    ],
)
def test_a_connection_that_fails_is_tried_again_and_then_named(error, line):
    api, seen = service(error)
    assert refusal(get, api).startswith(line)
    assert len(seen) == 3
    assert get(service(error, {"size": 3})[0]).size == 3


def test_a_refusal_is_not_retried():
    api, seen = service(httpx2.Response(404, json={"error": True, "reason": "no\nsuch\x1b[31m thing"}))
    with pytest.raises(ServiceRefused, match=r"Example refused the request: no such\[31m thing") as error:
        get(api)
    assert error.value.status == 404
    assert len(seen) == 1


def test_five_megabytes_are_not_read():
    sent = []

    class Body(httpx2.SyncByteStream):
        def __iter__(self):
            for _ in range(50):
                sent.append(1)
                yield b"0" * 100_000

    api, seen = service(lambda request: httpx2.Response(200, stream=Body()))
    assert "more than 2 MB" in refusal(get, api)
    assert (len(seen), len(sent)) == (1, 21)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx2.Response(200, html="<html>Welcome</html>"), "something other than JSON (text/html)"),
        (httpx2.Response(200, content=b"[" * 200_000), "something other than JSON"),
        (httpx2.Response(301, headers={"location": "https://elsewhere.org"}), "refused the request: status"),
        ({"siez": 3}, "unknown shape (size: field required)"),
        (httpx2.Response(200, content=b'{"size": NaN}'), "unknown shape (size: "),
        (httpx2.Response(200, content=b"null"), "unknown shape (the whole: "),
    ],
)
def test_an_unusable_answer_is_one_line(answer, words):
    api, seen = service(answer)
    assert words in refusal(get, api)
    assert len(seen) == 1
