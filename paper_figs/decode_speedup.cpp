// The paper's figure 5: how much faster MLA decodes than GQA, by context. Above at an equal batch; below, where
// several batches were measured, at the largest that fits into the device's memory.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "measured.h"
#include "panels.h"
#include "style.h"

namespace attnlab {
namespace {

constexpr double paper_speedup = 10.6;  // arXiv 2502.07864v5, figure 5: LLaMA-2-7B, 8K, 93 % of the cache gone
constexpr const char* paper_look = "with lines lc rgb '#000000' lw 0.8 dt (1,2)";

using SpeedupPlace = std::tuple<std::string, int64_t, int64_t>;  // form, batch, context

struct Bench {
  std::map<SpeedupPlace, DecodeRow> rows;  // those that fit; of a step measured twice the last counts
  std::vector<std::string> forms;          // gqa first
  std::set<int64_t> batches, contexts;
};

Bench bench_of(const std::vector<DecodeRow>& rows) {
  Bench bench{.forms = {"gqa"}};
  for (const auto& row : rows) {
    if (row.fits == 0 || !(row.ms > 0)) continue;
    bench.rows[{row.form, row.batch, row.context}] = row;
    if (std::find(bench.forms.begin(), bench.forms.end(), row.form) == bench.forms.end())
      bench.forms.push_back(row.form);
    bench.batches.insert(row.batch);
    bench.contexts.insert(row.context);
  }
  return bench;
}

// Context → time of gqa over time of `form`, where both fit.
std::map<int64_t, double> speedup(const Bench& bench, const std::string& form, int64_t batch) {
  std::map<int64_t, double> curve;
  for (const int64_t context : bench.contexts) {
    const auto ours = bench.rows.find({form, batch, context}), gqa = bench.rows.find({"gqa", batch, context});
    if (ours != bench.rows.end() && gqa != bench.rows.end()) curve[context] = gqa->second.ms / ours->second.ms;
  }
  return curve;
}

// Context → the step at the largest batch that fits.
std::map<int64_t, DecodeRow> fullest(const Bench& bench, const std::string& form) {
  std::map<int64_t, DecodeRow> steps;  // batches ascend within a form: the last one stays
  for (const auto& [place, row] : bench.rows)
    if (std::get<0>(place) == form) steps[row.context] = row;
  return steps;
}

double tokens_per_second(const DecodeRow& row) { return 1000 * static_cast<double>(row.batch) / row.ms; }

PanelAxis context_axis(const Bench& bench, const std::string& name) {
  PanelAxis axis = empty_axis(name, true);
  for (const int64_t context : bench.contexts) {
    widen(axis, static_cast<double>(context));
    axis.tics.emplace_back(
        context % 1024 == 0 ? fmt::format("{}K", context / 1024) : fmt::format("{}", context),
        static_cast<double>(context));
  }
  axis.low /= 1.15;
  axis.high *= 1.15;
  return axis;
}

std::string note_at(int number, const std::string& text, double x, double y, const char* place) {
  return fmt::format("set label {} '{}' at {},{} {} font '{},5'\n", number, text, x, y, place, style::font);
}

// The smallest and the largest batch of a form that can be compared; more would be one thicket.
std::vector<int64_t> shown_batches(const Bench& bench, const std::string& form) {
  std::vector<int64_t> batches;
  for (const int64_t batch : bench.batches)
    if (!speedup(bench, form, batch).empty()) batches.push_back(batch);
  if (batches.size() > 2) batches = {batches.front(), batches.back()};
  return batches;
}

// A form's curves look alike; each names its batch at its end.
Panel speedup_panel(const Bench& bench) {
  Panel panel{.title = "at an equal batch",
              .x = context_axis(bench, "tokens in the cache"),
              .y = empty_axis("times as fast as GQA", true)};
  for (size_t i = 1; i < bench.forms.size(); ++i)
    for (const int64_t batch : shown_batches(bench, bench.forms[i])) {
      PanelSeries series{.name = bench.forms[i], .look = i, .marks = true};
      for (const auto& [context, times] : speedup(bench, bench.forms[i], batch)) {
        series.points.push_back({static_cast<double>(context), times});
        widen(panel.y, times);
      }
      const SeriesPoint& last = series.points.back();
      panel.before += note_at(10 + static_cast<int>(panel.series.size()), fmt::format("batch {}", batch),
                              last.x, last.y, last.y < 1 ? "right offset 0.4,-0.65" : "right offset 0.4,0.65");
      panel.series.push_back(std::move(series));
    }
  panel.y.low /= 1.4;  // room for the batches
  for (const double line : {1.0, paper_speedup}) widen(panel.y, line);
  panel.plots = {"1 notitle with lines " + style::line(0),
                 fmt::format("{} notitle {}", paper_speedup, paper_look)};
  return panel;
}

// The batch stands at the first point and where it changes.
Panel throughput_panel(const Bench& bench) {
  Panel panel{.title = "at the largest batch that fits (number)",
              .x = context_axis(bench, "tokens in the cache"),
              .y = empty_axis("tokens per second", true),
              .height_in = 1.2};
  int label = 10;
  for (size_t i = 0; i < bench.forms.size(); ++i) {
    PanelSeries series{.name = bench.forms[i], .look = i, .marks = true};
    int64_t told = 0;
    for (const auto& [context, row] : fullest(bench, bench.forms[i])) {
      const SeriesPoint point{static_cast<double>(context), tokens_per_second(row)};
      series.points.push_back(point);
      widen(panel.y, point.y);
      if (row.batch != told)
        panel.before += note_at(label++, fmt::format("{}", row.batch), point.x, point.y,
                                i == 0 ? "center offset 0,-0.65" : "center offset 0,0.6");
      told = row.batch;
    }
    if (!series.points.empty()) panel.series.push_back(std::move(series));
  }
  panel.y.high *= 1.5;  // room for the numbers
  panel.y.low /= 1.2;
  return panel;
}

std::string csv_of(const Bench& bench, const DecodeRow& first) {
  std::string csv = "shape,device,dtype,form,context,batch,ms,tokens_per_second,times_as_fast_as_gqa\n";
  for (const auto& [place, row] : bench.rows) {
    const auto gqa = bench.rows.find({"gqa", row.batch, row.context});
    csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_text(first.shape), csv_text(first.device),
                       first.dtype, row.form, row.context, row.batch, row.ms, tokens_per_second(row),
                       gqa == bench.rows.end() ? "" : fmt::format("{}", gqa->second.ms / row.ms));
  }
  return csv;
}

// The panel of times alone has no curve of gqa, only the line at 1.
std::vector<KeyEntry> key_of(const std::vector<Panel>& panels) {
  std::vector<KeyEntry> key{{"paper, at 8K: 10.6 times", paper_look}};
  if (panels.size() == 1) key.insert(key.begin(), {"gqa", "with lines " + style::line(0)});
  return key;
}

}  // namespace

Figure decode_speedup(const Measurements& measured) {
  Figure figure{.missing =
                    "no decoding step of gqa and of another form was measured at an equal batch and context"};
  const auto groups = grouped(measured.decode_steps, [](const DecodeRow& row) {
    return row.shape + ", " + row.device + ", " + row.dtype;
  });
  for (const auto& [place, rows] : groups) {
    const Bench bench = bench_of(rows);
    std::vector<Panel> panels{speedup_panel(bench)};
    if (panels.front().series.empty()) continue;
    if (bench.batches.size() > 1) panels.push_back(throughput_panel(bench));
    Drawing& drawing = figure.drawings.emplace_back(
        draw_panels(drawing_name("decode_speedup", place, groups.size()), "Speed of decoding",
                    place + "; one step, median", panels, key_of(panels)));
    drawing.csv = csv_of(bench, rows.front());
  }
  return figure;
}

}  // namespace attnlab
