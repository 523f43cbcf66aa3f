// The paper's figure 5 and its table 4: how much faster MLA decodes than GQA, by context. At an equal batch; at
// the largest batch that fits into the whole card; under caps of memory; and with prompts read and requests
// that wait. A batch is called the largest that fits where it was looked for, not where it is the largest of
// some.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "decode_bench.h"
#include "measured.h"
#include "panels.h"
#include "style.h"

namespace attnlab {
namespace {

constexpr double paper_speedup = 10.6;  // arXiv 2502.07864v5, figure 5: LLaMA-2-7B, 8K, 93 % of the cache gone
constexpr const char* paper_look = "with lines lc rgb '#000000' lw 0.8 dt (1,2)";
constexpr const char* paper_shape = "llama2-7b, ";

std::string memory_name(double memory) {
  return memory == 0 ? "whole card" : fmt::format("{:.4g} GiB", memory);
}

PanelAxis context_axis(const DecodeBench& bench, const std::string& name) {
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
std::vector<int64_t> shown_batches(const DecodeBench& bench, const std::string& form) {
  std::vector<int64_t> batches;
  for (const int64_t batch : bench.batches)
    if (!speedup(bench, form, batch).empty()) batches.push_back(batch);
  if (batches.size() > 2) batches = {batches.front(), batches.back()};
  return batches;
}

// The line at 1, and the paper's number.
void add_lines(Panel& panel) {
  for (const double line : {1.0, paper_speedup}) widen(panel.y, line);
  panel.plots = {"1 notitle with lines " + style::line(0),
                 fmt::format("{} notitle {}", paper_speedup, paper_look)};
}

// A form's curves look alike; each names its batch at its end.
Panel equal_batch_panel(const DecodeBench& bench) {
  Panel panel{.title = "a step at an equal batch",
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
  add_lines(panel);
  return panel;
}

// On the whole card. The batch stands at the first point and where it changes.
Panel throughput_panel(const DecodeBench& bench) {
  Panel panel{.title = "whole card, largest batch that fits (number)",
              .x = context_axis(bench, "tokens in the cache"),
              .y = empty_axis("tokens per second", true),
              .height_in = 1.2};
  int label = 10;
  for (size_t i = 0; i < bench.forms.size(); ++i) {
    PanelSeries series{.name = bench.forms[i], .look = i, .marks = true};
    int64_t told = 0;
    for (const int64_t context : bench.contexts) {
      const auto row = bench.steps.find({bench.forms[i], 0, context});
      if (row == bench.steps.end()) continue;
      const SeriesPoint point{static_cast<double>(context), row->second.tokens_per_second};
      series.points.push_back(point);
      widen(panel.y, point.y);
      if (row->second.batch != told)
        panel.before += note_at(label++, fmt::format("{}", row->second.batch), point.x, point.y,
                                i == 0 ? "center offset 0,-0.65" : "center offset 0,0.6");
      told = row->second.batch;
    }
    if (!series.points.empty()) panel.series.push_back(std::move(series));
  }
  panel.y.high *= 1.6;  // room for the numbers
  panel.y.low /= 1.8;
  panel.x.low /= 1.2;
  return panel;
}

// Of one form by memory, with the paper's curves in the same looks without marks.
Panel memory_panel(const DecodeBench& bench, const ByMemory& measured, const std::string& form,
                   const std::string& title, bool paper) {
  Panel panel{.title = title,
              .x = context_axis(bench, "tokens of a sequence"),
              .y = empty_axis("tokens/s over GQA's", true)};
  const auto add = [&](const std::string& name, size_t look, bool marks, const auto& curve) {
    if (curve.empty()) return;
    PanelSeries series{.name = name, .look = look, .marks = marks};
    for (const auto& [context, times] : curve) {
      series.points.push_back({static_cast<double>(context), times});
      widen(panel.y, times);
    }
    panel.series.push_back(std::move(series));
  };
  size_t look = bench.forms.size();  // behind those of the forms
  for (const double memory : memories(measured)) {
    add(memory_name(memory), look, true, gain(measured, form, memory));
    const auto of_paper = paper_by_memory().find(memory);
    if (paper && of_paper != paper_by_memory().end() && !panel.series.empty())
      add(fmt::format("paper, {:.4g} GB", memory), look, false, of_paper->second);
    ++look;
  }
  add_lines(panel);
  return panel;
}

// A panel of each form that has some, of steps or of requests that were served.
void add_memory_panels(std::vector<Panel>& panels, const DecodeBench& bench, const ByMemory& measured,
                       const std::string& what, bool paper) {
  for (const auto& form : bench.forms) {
    if (form == "gqa") continue;
    Panel panel = memory_panel(bench, measured, form, form + ": " + what, paper);
    if (!panel.series.empty()) panels.push_back(std::move(panel));
  }
}

std::vector<Panel> panels_of(const DecodeBench& bench, bool paper) {
  std::vector<Panel> panels{equal_batch_panel(bench), throughput_panel(bench)};
  std::erase_if(panels, [](const Panel& panel) { return panel.series.empty(); });
  add_memory_panels(panels, bench, bench.steps, "largest batch that fits", paper);
  add_memory_panels(panels, bench, bench.served, "served, prompts counted", paper);
  return panels;
}

std::string csv_of(const DecodeBench& bench, const std::string& place) {
  std::string csv = "place,measured,form,context,memory,batch,ms,tokens_per_second,times_as_fast_as_gqa\n";
  const auto add = [&](const char* what, const std::string& form, int64_t context, const std::string& memory,
                       int64_t batch, const std::string& ms, double tokens, double times) {
    csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_text(place), what, form, context, memory, batch, ms,
                       tokens, std::isnan(times) ? "" : fmt::format("{}", times));
  };
  for (const auto& [at, row] : bench.rows) {
    const auto gqa = bench.rows.find({"gqa", row.batch, row.context});
    add("step", row.form, row.context, "", row.batch, fmt::format("{}", row.ms), tokens_per_second(row),
        gqa == bench.rows.end() ? NAN : gqa->second.ms / row.ms);
  }
  for (const auto& [what, measured] : {std::pair{"fullest_step", &bench.steps}, {"served", &bench.served}})
    for (const auto& [at, row] : *measured) {
      const auto& [form, memory, context] = at;
      const auto times = gain(*measured, form, memory);
      add(what, form, context, memory_name(memory), row.batch, "", row.tokens_per_second,
          times.contains(context) ? times.at(context) : NAN);
    }
  return csv;
}

std::vector<KeyEntry> key_of(const std::vector<Panel>& panels) {
  std::vector<KeyEntry> key{{"paper, at 8K: 10.6 times", paper_look}};
  const bool shown = std::any_of(panels.begin(), panels.end(), [](const Panel& panel) {
    return std::any_of(panel.series.begin(), panel.series.end(), [](const auto& s) { return s.name == "gqa"; });
  });
  if (!shown) key.insert(key.begin(), {"gqa", "with lines " + style::line(0)});  // only the line at 1
  return key;
}

template <class Row>
std::string label_of_place(const Row& row) {
  return row.shape + ", " + row.device + ", " + row.dtype;
}

}  // namespace

Figure decode_speedup(const Measurements& measured) {
  Figure figure{.missing =
                    "no decoding step of gqa and of another form was measured at an equal batch or in an "
                    "equal memory, and context"};
  auto steps = grouped(measured.decode_steps, label_of_place<DecodeRow>);
  std::map<std::string, std::vector<ServeRow>> served;
  for (const auto& [place, rows] : grouped(measured.served, label_of_place<ServeRow>)) {
    served[place] = rows;
    if (std::none_of(steps.begin(), steps.end(), [&](const auto& group) { return group.first == place; }))
      steps.emplace_back(place, std::vector<DecodeRow>{});
  }
  for (const auto& [place, rows] : steps) {
    const DecodeBench bench = bench_of(rows, served[place]);
    const bool paper = place.starts_with(paper_shape);
    const std::vector<Panel> panels = panels_of(bench, paper);
    const auto compares = [](const Panel& panel) { return !panel.plots.empty(); };
    if (std::none_of(panels.begin(), panels.end(), compares)) continue;
    const std::string source =
        std::string("; paper: arXiv 2502.07864v5, ") + (paper ? "table 4 (vLLM on three cards)" : "figure 5");
    Drawing& drawing = figure.drawings.emplace_back(
        draw_panels(drawing_name("decode_speedup", place, steps.size()), "Speed of decoding",
                    place + "; one step, median" + source, panels, key_of(panels)));
    drawing.csv = csv_of(bench, place);
  }
  return figure;
}

}  // namespace attnlab
