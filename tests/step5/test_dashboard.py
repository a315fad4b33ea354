"""The dashboard in a real browser: charts, tables, one call, refreshing."""

from datetime import timedelta
from urllib.parse import quote

from step5_serving.telemetry.reading import list_calls
from step5_serving.telemetry.summary import summarize
from step5_serving.telemetry.writer import write_rows
from tests.step5.pages_parts import MARKUP, PROMPT, QUESTION, day, until

TITLES = ["Calls", "Latency", "Latency by stage", "Tokens", "Cost", "Error rate"]
# How many colours each chart has.
COLOURS = """() => [...document.querySelectorAll(".plot canvas")].map((canvas) => new Set(new Uint32Array(
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"""


def rows(service):
    return list_calls(service.store, 60)["calls"]


def ready(page):
    page.locator(".calls tbody tr").first.wait_for()
    return page


def test_charts_show_what_the_summary_says(look, service):
    page = ready(look("/dashboard"))
    told = summarize(service.store, timedelta(days=1))
    assert page.locator(".chart h2").all_inner_texts() == TITLES
    names, figures = (page.locator(f"#tiles {tag}").all_inner_texts() for tag in ("dt", "dd"))
    tiles = dict(zip(names, figures, strict=True))
    more = f"{told['abstained']} abstained · {told['refused']} refused"
    assert tiles["Calls"].split("\n") == [str(told["calls"]), more]
    assert tiles["Cost"].split("\n") == [f"${told['cost_usd']:.2f}", f"unknown for {told['unknown_costs']}"]
    assert tiles["Latency p95"].split("\n")[0] == f"{told['latency_ms']['total']['p95'] / 1000:.1f} s"

    drawn = page.evaluate(COLOURS)
    assert len(drawn) == 5
    assert min(drawn) > 3  # of axes and of values
    stages = page.locator(".chart >> nth=2 >> th").all_inner_texts()
    assert stages == ["queue", "retrieve", "rerank", "generate", "total"]
    for chart in page.locator(".chart").all():
        assert chart.locator(".unit").inner_text()
    for plot in page.locator(".plot").all():
        assert plot.get_attribute("aria-label").endswith(".")

    first = page.locator(".chart").first
    first.locator("summary").click()
    cells = first.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert cells == [str(each["calls"] - each["errors"]) for each in told["series"]]
    box = page.locator(".chart >> nth=1 >> .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    assert page.locator(".chart >> nth=1 >> .u-value").nth(1).inner_text().endswith((" s", " ms"))

    assert page.locator("#low li").count() == len(told["low_confidence"])
    versions = [each["prompt_version"] for each in told["by_prompt_version"]]
    assert page.locator("#versions code").all_inner_texts() == versions


def test_one_call_by_keyboard(look, service):
    page = ready(look("/dashboard"))
    page.locator(".calls a").nth(1).focus()
    page.keyboard.press("Enter")
    page.locator("#call .waterfall").wait_for()
    second = rows(service)[1]
    assert page.url.endswith(f"#call={second['span_id']}")
    body = page.locator("#call-body")
    assert body.locator(".asked").inner_text() == second["question"]
    lanes = ["queue", "question", "spelling", "generate", "total"]
    assert body.locator(".waterfall th").all_inner_texts() == lanes
    assert body.locator(".attempts .taken b").first.inner_text() == "spelling"
    body.locator(".cite").first.press("Enter")
    assert page.evaluate("document.activeElement.id") == "source-1"
    body.locator("summary", has_text="Prompt").press("Enter")
    assert body.locator("pre").first.inner_text() == PROMPT
    again = body.locator("a", has_text="Ask it again").get_attribute("href")
    assert again == f"/?q={quote(second['question'])}"
    page.keyboard.press("Escape")
    assert page.locator("#call").is_hidden()
    until(page, lambda: "#" not in page.url)
    assert page.evaluate("document.activeElement.textContent") == second["question"]


NEWEST = """async () => {
  const { TimeChart } = await import("/pages/charts.js");
  const series = [{ name: "p50", color: "--c-main", format: String }];
  const given = { title: "Latency", kind: "lines", unit: () => ["s", 1], series, summary: () => "" };
  const chart = new TimeChart(given);
  document.body.append(chart.element);
  const rows = [0, 10, 20].map((start) => ({ start: new Date(start), values: [start === 20 ? 7 : null] }));
  chart.update({ from: 0, to: 21, step: 10 }, rows);
  await new Promise(requestAnimationFrame);
  return [chart.data[0], chart.chart.scales.y.max];
}"""


def test_the_newest_value_of_a_line_is_on_the_chart_before_half_of_its_time_is_over(look):
    places, highest = look("/dashboard").evaluate(NEWEST)
    assert places == [5, 15, 20.5]
    assert highest > 7


def test_a_link_to_a_call_opens_it_also_one_that_is_gone(look, service):
    page = look("/dashboard#call=" + rows(service)[0]["span_id"])
    page.locator("#call .waterfall").wait_for()
    assert page.locator("#call img").count() == 0
    assert page.locator("#call .text").inner_text().startswith(MARKUP[:9])
    page.locator("#close").click()
    until(page, lambda: "#" not in page.url)  # the dialog's close event comes later than the click
    page.evaluate("location.hash = 'call=" + 32 * "f" + "'")
    page.locator("#call .error").wait_for()
    assert page.locator("#call .error").inner_text() == "This call is not stored (any more)."


def test_it_looks_again_until_paused(look):
    page, looks = ready(look("/dashboard", clock=True)), []
    page.on("request", lambda request: looks.append(request.url))
    updated = page.locator("#updated")

    def looks_again(action):
        before = updated.inner_text()
        action()
        until(page, lambda: updated.inner_text() not in ("", before))

    def wait(seconds=10.2):
        page.clock.fast_forward(1000 * seconds)

    looks_again(wait)
    page.locator("#pause").click()
    assert page.locator("#pause").inner_text() == "Resume"
    looks.clear()
    wait(30)
    page.wait_for_timeout(150)
    assert not looks
    looks_again(page.locator("#pause").click)
    assert page.locator("#pause").inner_text() == "Pause"
    page.route("**/telemetry/**", lambda route: route.abort())
    wait()
    until(page, lambda: "can’t be reached" in page.locator("#error").inner_text())
    page.unroute("**/telemetry/**")
    looks_again(wait)
    assert page.locator("#error").is_hidden()
    page.locator("input[value='7d']").check(force=True)
    page.locator(".chart .unit", has_text="calls per 3 h").wait_for()
    looks_again(wait)


def test_filter_and_older_calls(look, service):
    page = ready(look("/dashboard"))
    assert page.locator(".calls tbody tr").count() == 20
    page.locator("#older").click()
    until(page, lambda: page.locator(".calls tbody tr").count() == 40)
    page.locator("#older").click()
    until(page, lambda: page.locator(".calls tbody tr").count() == 60)
    assert page.locator("#older").is_hidden()
    page.locator("#filter").select_option("error")
    failed = [row for row in rows(service) if row["error_type"]]
    until(page, lambda: page.locator(".calls tbody tr").count() == len(failed))
    tags = page.locator(".calls .tag").all_inner_texts()
    assert {*tags} == {"429 overloaded_error", "503 overloaded_error"}


def test_nothing_yet_and_no_key(look, service):
    service.store.prune(timedelta())
    page = look("/dashboard")
    page.locator("#empty").wait_for()
    assert QUESTION in page.locator("#curl").inner_text()
    assert page.locator("#figures").is_hidden()
    write_rows(service.store, day())
    _, key = service.keys.add("ann", ["operate"])
    page = look("/dashboard", has_key=False)
    page.locator("#key-form").wait_for()
    assert "keys add NAME --scope operate" in page.locator("#key-hint").inner_text()
    assert page.locator("#error").inner_text() == "This service needs an API key."
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")
    ready(page)
    assert page.locator("#error").is_hidden()
