// Field visitors as tables for people: every kind of member, ranges, defaults, and maps below maps.
#include "config/reference.h"

#include "catch.h"

using namespace attnlab;

namespace {

enum class RowFill { none, stream };

}  // namespace

template <>
struct attnlab::EnumNames<RowFill> {
  static constexpr std::array<std::pair<std::string_view, RowFill>, 2> rows{
      {{"none", RowFill::none}, {"stream", RowFill::stream}}};
};

namespace {

struct Source {
  std::string path;
  int64_t size = 20;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"path", "where examples lie"}, self.path);
    visit(Key{"size", "how many"}.at_least(1), self.size);
  }
};

struct Part {
  double weight = 1;
  Source source;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"weight", "share"}.above(0).must_be_given(), self.weight);
    Source::fields(self.source, visit);
  }
};

struct Data {
  Source source;
  bool shuffle = true;
  double share = 0.05, rate = 3e-4;
  int64_t count = 7;
  RowFill packing = RowFill::stream;
  std::optional<int64_t> rank;
  std::optional<double> clip = 2;
  std::vector<std::string> roles{"user", "assistant"};
  std::vector<int64_t> seeds;
  std::vector<Part> mixture;
  std::optional<Source> extra;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    Source::fields(self.source, visit);
    visit(Key{"shuffle", "random order"}, self.shuffle);
    visit(Key{"share", "held out"}.at_least(0).at_most(0.9), self.share);
    visit(Key{"rate", "a | b*"}.above(0).at_most(1), self.rate);
    visit(Key{"count", "in all"}.at_most(9), self.count);
    visit(Key{"packing", "how rows are shared"}, self.packing);
    visit(Key{"rank", "latent rank"}.at_least(1), self.rank);
    visit(Key{"clip", "longest gradient"}, self.clip);
    visit(Key{"roles", "whose turns"}, self.roles);
    visit(Key{"seeds", "one run each"}.at_least(0), self.seeds);
    visit(Key{"mixture", "several"}, self.mixture);
    visit(Key{"extra", "one more"}, self.extra);
  }
};

struct Root {
  Data data;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"data", "examples"}.must_be_given(), self.data);
  }
};

KeyRow row_of(const KeyTable& table, const std::string& name) {
  for (const auto& row : table.rows)
    if (row.name == name) return row;
  FAIL("no row " << name);
  return {};
}

KeyRow data_row(const std::string& name) { return row_of(key_tables<Data>("data").front(), name); }

}  // namespace

TEST_CASE("a row for every key, with its type, range, default and help") {
  CHECK(data_row("path") == KeyRow{"path", "text", "", "none", "where examples lie"});
  CHECK(data_row("size") == KeyRow{"size", "whole number", "≥ 1", "`20`", "how many"});
  CHECK(data_row("shuffle") == KeyRow{"shuffle", "bool", "", "`true`", "random order"});
  CHECK(data_row("share") == KeyRow{"share", "number", "0 to 0.9", "`0.05`", "held out"});
  CHECK(data_row("rate") == KeyRow{"rate", "number", "above 0 to 1", "`0.0003`", "a | b*"});
  CHECK(data_row("count") == KeyRow{"count", "whole number", "≤ 9", "`7`", "in all"});
  CHECK(data_row("packing") ==
        KeyRow{"packing", "name", "`none`, `stream`", "`stream`", "how rows are shared"});
  CHECK(data_row("rank") == KeyRow{"rank", "whole number", "≥ 1", "none", "latent rank"});
  CHECK(data_row("clip") == KeyRow{"clip", "number", "", "`2`", "longest gradient"});
  CHECK(data_row("roles") == KeyRow{"roles", "list of texts", "", "`[user, assistant]`", "whose turns"});
  CHECK(data_row("seeds") == KeyRow{"seeds", "list of whole numbers", "≥ 0", "`[]`", "one run each"});
  CHECK(data_row("mixture") == KeyRow{"mixture", "list of maps", "", "`[]`", "several"});
  CHECK(data_row("extra") == KeyRow{"extra", "map", "", "none", "one more"});
}

TEST_CASE("no key of a struct lacks its row") {
  const auto rows = key_tables<Data>("data").front().rows;
  CHECK(rows.size() == 13);
}

TEST_CASE("a required key has no default") {
  CHECK(row_of(key_tables<Root>("").front(), "data").standard == "required");
  CHECK(row_of(key_tables<Part>("part").front(), "weight") ==
        KeyRow{"weight", "number", "> 0", "required", "share"});
}

TEST_CASE("maps have tables of their own, named by their path, depth first") {
  std::vector<std::string> paths;
  for (const auto& table : key_tables<Root>("")) paths.push_back(table.path);
  CHECK(paths == std::vector<std::string>{"", "data", "data.mixture.N", "data.extra"});
}

TEST_CASE("keys that a map shares with the one around it are named, not told again") {
  const auto tables = key_tables<Data>("data");
  REQUIRE(tables.size() == 3);
  CHECK(tables[1].rows.size() == 1);
  CHECK(tables[1].inherited == std::vector<std::string>{"path", "size"});
}

TEST_CASE("defaults are those of the value that is given") {
  Data data;
  data.source.size = 30;
  data.packing = RowFill::none;
  const auto table = key_tables("data", data).front();
  CHECK(row_of(table, "size").standard == "`30`");
  CHECK(row_of(table, "packing").standard == "`none`");
}

TEST_CASE("tables as Markdown: bars are escaped, shared keys are a sentence") {
  const auto tables = key_tables<Data>("data");
  const std::string text = to_markdown(tables[0]);
  CHECK_THAT(text, ContainsSubstring("| key | type | range | default | meaning |\n|---|---|---|---|---|\n"));
  CHECK_THAT(text, ContainsSubstring("| `rate` | number | above 0 to 1 | `0.0003` | a \\| b\\* |\n"));
  CHECK(to_markdown(tables[1]) ==
        "| key | type | range | default | meaning |\n|---|---|---|---|---|\n"
        "| `weight` | number | > 0 | required | share |\n\nAs in the map around it: `path`, `size`.\n");
  CHECK(to_markdown(tables[2]) == "As in the map around it: `path`, `size`.\n");
}
