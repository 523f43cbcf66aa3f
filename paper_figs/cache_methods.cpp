// Ways of keeping a cache: quality against bytes per token, a panel for each task, and the table of all.
#include "cache_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/csv.h"
#include "measured.h"
#include "panels.h"
#include "style.h"
#include "tables.h"

namespace attnlab {
namespace {

constexpr const char* text_measure = "log_perplexity";
constexpr double counted_context = 4096;  // at which bytes per token are told

// What is done to an arm's cache; the base has a look for each.
enum WayKind : size_t { as_computed, dropped, coding, merging, dropped_and_coded };
constexpr std::array<const char*, 5> way_kinds{"", "eviction", "quantisation", "MiniCache",
                                               "eviction and quantisation"};

WayKind way_kind(const CacheRow& row) {
  const bool drops = row.policy != "all";
  if (row.storage == "dense") return drops ? dropped : as_computed;
  if (drops) return dropped_and_coded;
  return row.storage == "minicache" ? merging : coding;
}

// The first arm with the most bytes as computed: what the others save against.
std::string base_of(const std::vector<CacheRow>& rows) {
  const CacheRow* most = &rows.front();
  for (const CacheRow& row : rows)
    if (way_kind(row) == as_computed && (way_kind(*most) != as_computed || row.bytes_4k > most->bytes_4k))
      most = &row;
  return most->arm;
}

std::string series_name(const CacheRow& row, const std::string& base) {
  const WayKind kind = way_kind(row);
  const std::string of = row.arm == base ? base : "other arms";
  return kind == as_computed ? of : row.arm == base ? of + ", " + way_kinds[kind] : of + ", with methods";
}

size_t look_of(const CacheRow& row, const std::string& base) {
  const WayKind kind = way_kind(row);
  if (row.arm == base) return kind;
  return way_kinds.size() + (kind == as_computed ? 0 : 1);
}

double bytes_per_token(const CacheRow& row) { return row.bytes_4k / counted_context; }

// Shares as percent; nats as perplexity.
double shown(const CacheRow& row, double value) {
  return row.measure == text_measure ? std::exp(value) : 100 * value;
}

std::string panel_title(const CacheRow& row) {
  const std::string what = row.measure == text_measure ? "perplexity" : row.measure;
  return row.behind == "context" ? what + ", asked afterwards" : what;
}

// Best value so far by ascending bytes, as stairs.
std::string front_block(const std::vector<CacheRow>& rows, const std::string& name) {
  std::vector<const CacheRow*> front;
  for (const CacheRow& row : rows)
    if (on_cache_front(row, rows)) front.push_back(&row);
  std::sort(front.begin(), front.end(),
            [](const CacheRow* a, const CacheRow* b) { return a->bytes_4k < b->bytes_4k; });
  std::string out = name + " << EOD\n";
  double reached = 0;
  for (size_t i = 0; i < front.size(); ++i) {
    const double bytes = bytes_per_token(*front[i]), value = shown(*front[i], front[i]->value);
    if (i > 0) out += fmt::format("{} {}\n", bytes, reached);
    out += fmt::format("{} {}\n", bytes, value);
    reached = value;
  }
  return out + "EOD\n";
}

constexpr const char* pareto_line = "lines lc rgb '#b3b3b3' lw 1.6 dt solid";

Panel panel_of(const std::vector<CacheRow>& rows, const std::string& base, size_t place,
               std::map<size_t, std::string>& looks) {
  const bool text = rows.front().measure == text_measure;
  Panel panel{.title = panel_title(rows.front()),
              .x = empty_axis("", true),
              .y = empty_axis(text ? "perplexity" : "solved (%)", text)};
  if (!text) widen(panel.y, 0), widen(panel.y, 100);
  std::map<size_t, std::string> points, marked;
  for (const CacheRow& row : rows) {
    const size_t look = look_of(row, base);
    looks[look] = series_name(row, base);
    auto& block = on_cache_front(row, rows) ? marked[look] : points[look];
    block += fmt::format("{} {}\n", bytes_per_token(row), shown(row, row.value));
    widen(panel.x, bytes_per_token(row));
    widen(panel.y, shown(row, row.value));
  }
  const std::string front = fmt::format("$front{}", place);
  panel.before = front_block(rows, front);
  panel.plots.push_back(front + " using 1:2 notitle with " + pareto_line);
  const auto add = [&](const auto& blocks, const char* prefix, auto mark) {
    for (const auto& [look, data] : blocks) {
      const std::string name = fmt::format("${}{}look{}", prefix, place, look);
      panel.before += name + " << EOD\n" + data + "EOD\n";
      panel.plots.push_back(name + " using 1:2 notitle with points " + mark(look));
    }
  };
  add(points, "point", style::mark);
  add(marked, "marked", style::large_mark);
  return panel;
}

std::string csv_of(const std::vector<CacheRow>& rows) {
  std::string csv =
      "study,measure,behind,arm,policy,share,storage,settings,n,value,low,high,bytes_1k,bytes_4k,bytes_16k,"
      "held_ratio,ms_per_token,front\n";
  for (const auto& [key, panel] : cache_panels_of(rows))
    for (const CacheRow& row : panel)
      csv +=
          fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_text(row.study),
                      csv_text(row.measure), row.behind, csv_text(row.arm), row.policy, row.share, row.storage,
                      csv_text(row.settings), row.n, row.value, row.low, row.high, row.bytes_1k, row.bytes_4k,
                      row.bytes_16k, row.held_ratio, row.ms_per_token, on_cache_front(row, panel) ? 1 : 0);
  return csv;
}

Drawing drawing_of(const std::string& study, const std::vector<CacheRow>& rows, size_t studies) {
  std::vector<Panel> panels;
  std::map<size_t, std::string> looks;
  PanelAxis x = empty_axis("", true);
  for (const auto& [key, of_panel] : cache_panels_of(rows)) {
    panels.push_back(panel_of(of_panel, base_of(rows), panels.size(), looks));
    widen(x, panels.back().x.low);
    widen(x, panels.back().x.high);
  }
  for (double tic = std::exp2(std::floor(std::log2(x.low))); tic <= x.high; tic *= 2)
    if (tic >= x.low / 1.1) x.tics.emplace_back(fmt::format("{:g}", tic), tic);
  for (Panel& panel : panels) {
    panel.x = x;
    panel.x.low /= 1.1, panel.x.high *= 1.1;
    panel.height_in = 1.2;
  }
  panels.back().x.name = "cached bytes per token at 4K";
  std::vector<KeyEntry> key;
  for (const auto& [look, name] : looks) key.push_back({name, "with points " + style::mark(look)});
  key.push_back({"Pareto front", std::string("with ") + pareto_line});
  Drawing drawing = draw_panels(
      drawing_name("cache_methods", study, studies), "Ways of keeping a cache",
      fmt::format("{}; {} problems a task; large marks: nothing else has fewer bytes and is as good", study,
                  rows.front().n),
      panels, key);
  drawing.csv = csv_of(rows);
  return drawing;
}

std::string share_text(double share) { return fmt::format("{:g} %", 100 * share); }

// A row for each way, its scores in the columns of the panels.
Table table_of(const std::string& study, const std::vector<CacheRow>& rows, size_t studies) {
  const auto panels = cache_panels_of(rows);
  Grid grid{.titles = {"arm", "policy", "kept", "storage", "bytes/token 1K", "4K", "16K", "ms/token"}};
  for (const auto& [key, panel] : panels) grid.titles.push_back(panel_title(panel.front()));
  for (const auto& [way, same] : grouped(rows, [](const CacheRow& row) {
         return row.arm + "|" + row.settings.substr(0, row.settings.find("behind: context"));
       })) {
    const CacheRow& first = same.front();
    Line line{.cells = {first.arm, first.policy, share_text(first.share), first.storage,
                        fmt::format("{:.1f}", first.bytes_1k / 1024),
                        fmt::format("{:.1f}", first.bytes_4k / 4096),
                        fmt::format("{:.1f}", first.bytes_16k / 16384),
                        std::isnan(first.ms_per_token) ? "-" : fmt::format("{:.2f}", first.ms_per_token)}};
    for (const auto& [key, panel] : panels) {
      const auto found = std::find_if(panel.begin(), panel.end(), [&](const CacheRow& row) {
        return row.arm == first.arm && row.settings == first.settings;
      });
      if (found == panel.end()) {
        line.cells.emplace_back("-");
        continue;
      }
      const bool text = found->measure == text_measure;
      line.cells.push_back(fmt::format("{:.{}f}{}", shown(*found, found->value), text ? 3 : 1,
                                       on_cache_front(*found, panel) ? "*" : ""));
    }
    grid.lines.push_back(std::move(line));
  }
  return {
      .name = drawing_name("table_cache_methods", study, studies),
      .caption = "Ways of keeping a cache: " + study,
      .grid = std::move(grid),
      .notes = {"*: nothing else has as few bytes at 4K and does better (Pareto front). Tasks: percent solved. "
                "Bytes: two for a number as computed, codes, scales, places and scores as they are kept. "
                "Time: a single step behind 1,024 tokens, unless the study says otherwise."}};
}

}  // namespace

std::vector<std::pair<std::string, std::vector<CacheRow>>> cache_panels_of(const std::vector<CacheRow>& rows) {
  return grouped(rows, [](const CacheRow& row) { return row.study + "|" + row.measure + "|" + row.behind; });
}

bool on_cache_front(const CacheRow& row, const std::vector<CacheRow>& panel) {
  const bool lower = row.measure == text_measure;
  return std::none_of(panel.begin(), panel.end(), [&](const CacheRow& other) {
    const bool as_good = lower ? other.value <= row.value : other.value >= row.value;
    const bool as_small = other.bytes_4k <= row.bytes_4k;
    return as_good && as_small && (other.value != row.value || other.bytes_4k != row.bytes_4k);
  });
}

Figure cache_methods(const Measurements& measured) {
  if (measured.caches.empty()) return {.drawings = {}, .missing = "no way of keeping a cache was measured"};
  const auto studies = grouped(measured.caches, [](const CacheRow& row) { return row.study; });
  Figure figure;
  for (const auto& [study, rows] : studies) {
    figure.drawings.push_back(drawing_of(study, rows, studies.size()));
    figure.tables.push_back(table_of(study, rows, studies.size()));
  }
  return figure;
}

}  // namespace attnlab
