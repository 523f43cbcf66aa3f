#include "core/fields.h"

#include "catch.h"

using namespace attnlab;

namespace {
enum class Shape { round, square };
struct Inner {
  double lr = 0.1;
  std::optional<int64_t> rank;
  template <class Self, class V>
  static void fields(Self& self, V&& visit) {
    visit(Key{"lr", "rate"}.above(0), self.lr);
    visit(Key{"rank", "rank"}, self.rank);
  }
};
struct Outer {
  std::string name = "a";
  Shape shape = Shape::square;
  Inner inner;
  std::vector<int64_t> seeds{1, 2};
  template <class Self, class V>
  static void fields(Self& self, V&& visit) {
    visit(Key{"name", ""}, self.name);
    visit(Key{"shape", ""}, self.shape);
    visit(Key{"inner", ""}, self.inner);
    visit(Key{"seeds", ""}, self.seeds);
  }
};
}  // namespace

template <>
struct attnlab::EnumNames<Shape> {
  static constexpr std::array<std::pair<std::string_view, Shape>, 2> rows{
      {{"round", Shape::round}, {"square", Shape::square}}};
};

TEST_CASE("flatten lists leaves with dotted names and leaves empty optionals out") {
  const auto flat = flatten(Outer{});
  REQUIRE(flat.size() == 4);
  CHECK(flat[1] == std::pair<std::string, FieldValue>("shape", std::string("square")));
  CHECK(flat[2] == std::pair<std::string, FieldValue>("inner.lr", 0.1));
  CHECK(to_text(flat[3].second) == "[1, 2]");
}

TEST_CASE("differences name the leaf and both values") {
  Outer a, b;
  CHECK(differences(flatten(a), flatten(b)).empty());
  b.inner.rank = 4;
  b.inner.lr = 0.2;
  const auto found = differences(flatten(a), flatten(b));
  REQUIRE(found.size() == 2);
  CHECK(found[0] == "inner.lr: 0.1 against 0.2");
  CHECK(found[1] == "inner.rank: nothing against 4");
  CHECK_FALSE(fields_equal(a, b));
}

TEST_CASE("text of a leaf is valid YAML") {
  CHECK(to_text(FieldValue(std::string("a b"))) == "a b");
  CHECK(to_text(FieldValue(std::string("true"))) == "\"true\"");
  CHECK(to_text(FieldValue(std::string("12"))) == "\"12\"");
  CHECK(to_text(FieldValue(std::string("a: \"b\"\n"))) == "\"a: \\\"b\\\"\\n\"");
  CHECK(to_text(FieldValue(std::string("a\r\x7F"))) == "\"a\\x0d\\x7f\"");
  CHECK(to_text(FieldValue(0.1)) == "0.1");
}

TEST_CASE("a key's range includes or excludes its end as told") {
  CHECK(Key{"x", ""}.at_least(1).admits(1));
  CHECK_FALSE(Key{"x", ""}.above(1).admits(1));
  CHECK_FALSE(Key{"x", ""}.at_most(2).admits(2.5));
  CHECK_FALSE(Key{"x", ""}.at_least(0).admits(std::numeric_limits<double>::quiet_NaN()));
}
