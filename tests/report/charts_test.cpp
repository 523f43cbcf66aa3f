#include "report/charts.h"

#include <nlohmann/json.hpp>

#include "report/chart_drawing.h"
#include "report/interval_drawing.h"
#include "report/sample_results.h"

using namespace attnlab;
using namespace attnlab::report;

namespace {

Chart small_chart(const std::string& arm) {
  CurveLine line{.arm = arm, .seeds = 2, .steps = {0, 5, 10}, .tokens = {0, 6e6, 12345678}};
  line.value = {.mean = {1, 0.5, 0.123456789}, .low = {0.5, 0.4, not_known}, .high = {1.5, 0.6, not_known}};
  return {.title = "Loss", .y_name = "nats", .note = "A note.", .lines = {line}};
}

nlohmann::json data_of(const std::string& markup) {
  const std::string open = "<script type=\"application/json\">";
  const size_t begin = markup.find(open) + open.size();
  return nlohmann::json::parse(markup.substr(begin, markup.find("</script>", begin) - begin));
}

}  // namespace

TEST_CASE("a chart is a drawing that says what it shows, a legend and its numbers") {
  const std::string markup = draw(small_chart("mla")).markup();
  CHECK_THAT(markup, ContainsSubstring("role=\"img\" aria-label=\"Loss, nats by steps. Arms: mla\""));
  CHECK_THAT(markup, ContainsSubstring("class=\"line a0\""));
  CHECK_THAT(markup, ContainsSubstring("class=\"band a0\""));
  CHECK_THAT(markup, ContainsSubstring("<small>2 seeds</small>"));
  const auto line = data_of(markup)["lines"][0];
  CHECK(line["arm"] == "mla");
  CHECK(line["steps"] == nlohmann::json{0, 5, 10});
  CHECK(line["tokens"][2] == 12345700.0);
  CHECK(line["value"]["mean"][2] == 0.123457);
  CHECK(line["value"]["low"][2].is_null());
  CHECK_FALSE(line.contains("difference"));
}

TEST_CASE("where one place alone has ends, they are a whisker and no band without width") {
  Chart chart = small_chart("mla");
  chart.lines[0].value.low[0] = chart.lines[0].value.high[0] = not_known;  // equal values before training
  const std::string markup = draw(chart).markup();
  CHECK_THAT(markup, ContainsSubstring("class=\"whisker a0\"") && !ContainsSubstring("class=\"band a0\""));
}

TEST_CASE("an arm's name can't break out of a chart") {
  const std::string markup = draw(small_chart(test::hostile)).markup();
  CHECK(markup.find("<img") == std::string::npos);
  CHECK(data_of(markup)["lines"][0]["arm"] == test::hostile);
}

TEST_CASE("points of a drawing lie inside it") {
  const std::string markup = draw(small_chart("mla")).markup();
  // The first point at the left edge of the axes, the second at the right one.
  CHECK_THAT(markup, ContainsSubstring("points=\"64.0,"));
  CHECK_THAT(markup, ContainsSubstring(" 698.0,"));
}

TEST_CASE("arms that have one step alone stand side by side") {
  Chart chart = small_chart("gqa");
  CurveLine& line = chart.lines[0];
  line.steps = {100};
  line.value = {.mean = {1}, .low = {0.5}, .high = {1.5}};
  chart.lines.push_back(line);
  chart.lines[1].look = 1;
  const std::string markup = draw(chart).markup();
  CHECK_THAT(markup, ContainsSubstring("class=\"dot a0\" cx=\"374.0\""));
  CHECK_THAT(markup, ContainsSubstring("class=\"dot a1\" cx=\"388.0\""));
  CHECK_THAT(markup, ContainsSubstring("class=\"whisker a0\""));
  CHECK_THAT(markup, ContainsSubstring(">100</text>"));
}

TEST_CASE("values that differ in their last bits are drawn") {
  Chart chart = small_chart("gqa");
  chart.lines[0].value = {.mean = {1, std::nextafter(1.0, 2.0), 1}, .low = {1, 1, 1}, .high = {1, 1, 1}};
  CHECK_THAT(draw(chart).markup(), ContainsSubstring(">1</text>"));
}

TEST_CASE("ticks are round, inside the range, and as many as wanted or a few less") {
  CHECK(ticks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(ticks(0.3, 1.2, 5).size() == 4);
  CHECK(tick_text(0.25) == "0.25");
  CHECK(tick_text(20000) == "20K");
  CHECK(tick_text(1.5e6) == "1.5M");
  CHECK(tick_text(-0.06) == "-0.06");
}

TEST_CASE("an interval's dot lies between its ends, and without a number there is no drawing") {
  const Interval half{.value = 0.5, .low = 0, .high = 1, .n = 3};
  const std::vector<IntervalMark> marks{{0, "0"}, {1, "above 1", true}};
  IntervalScale scale;
  scale.take(half, marks);
  const std::string markup = draw_interval(half, marks, "0.5 nats", scale).markup();
  CHECK_THAT(markup, ContainsSubstring("class=\"border\" d=\"M226.0 "));
  CHECK_THAT(markup, ContainsSubstring("text-anchor=\"end\">above 1</text>"));
  CHECK_THAT(markup, ContainsSubstring("aria-label=\"0.5 nats\""));
  CHECK_THAT(markup, ContainsSubstring("class=\"neutral\" d=\"M34.0 "));
  CHECK_THAT(markup, ContainsSubstring("class=\"ends\" d=\"M34.0 32H226.0"));
  CHECK_THAT(markup, ContainsSubstring("cx=\"130.0\""));
  CHECK(draw_interval({}, {{0, "0"}}, "", scale).empty());
  CHECK(draw_interval({.value = 1}, {}, "one", scale).markup().find("ends") == std::string::npos);
}

TEST_CASE("intervals that share a scale keep their proportions") {
  const Interval narrow{.value = 1, .low = 0, .high = 2, .n = 3}, wide{.value = 4, .low = 0, .high = 8, .n = 3};
  IntervalScale both;
  both.take(narrow, {});
  both.take(wide, {});
  CHECK_THAT(draw_interval(wide, {}, "", both).markup(), ContainsSubstring("d=\"M34.0 32H226.0"));
  CHECK_THAT(draw_interval(narrow, {}, "", both).markup(), ContainsSubstring("d=\"M34.0 32H82.0"));
}
