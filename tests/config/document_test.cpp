// YAML → typed struct: every kind of member, one case per rule, and the round trip through the resolved dump.
#include "config/document.h"

#include "catch.h"

using namespace attnlab;

namespace {

enum class Ramp { constant, cosine };

struct Optimizer {
  double lr = 0.001;
  std::optional<int64_t> rank;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"lr", "learning rate"}.above(0).at_most(10), self.lr);
    visit(Key{"rank", "latent rank"}.at_least(1), self.rank);
  }
};

struct Everything {
  bool shuffle = true;
  int64_t steps = 10;
  double decay = 0.1;
  std::string name = "base";
  Ramp schedule = Ramp::cosine;
  std::optional<double> clip;
  std::optional<std::string> note;
  std::optional<Ramp> tail;
  std::vector<int64_t> seeds{1, 2};
  std::vector<double> rates;
  std::vector<std::string> parts;
  Optimizer optimizer;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"shuffle", "random order"}, self.shuffle);
    visit(Key{"steps", "optimizer steps"}.at_least(0), self.steps);
    visit(Key{"decay", "weight decay"}, self.decay);
    visit(Key{"name", "label"}, self.name);
    visit(Key{"schedule", "of the learning rate"}, self.schedule);
    visit(Key{"clip", "gradient norm"}, self.clip);
    visit(Key{"note", "any text"}, self.note);
    visit(Key{"tail", "schedule of the end"}, self.tail);
    visit(Key{"seeds", "one run each"}.at_least(0), self.seeds);
    visit(Key{"rates", "to sweep"}, self.rates);
    visit(Key{"parts", "patterns"}, self.parts);
    visit(Key{"optimizer", "of the parameters"}, self.optimizer);
  }
};

struct Arm {
  std::string name;
  Optimizer optimizer;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"name", "the arm's name"}.must_be_given(), self.name);
    visit(Key{"optimizer", "overrides"}, self.optimizer);
  }
};

struct Plan {
  std::vector<Arm> arms;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"arms", "variants under test"}.must_be_given(), self.arms);
  }
};

template <class T = Everything>
T read(const std::string& yaml) {
  return read_config<T>(parse_yaml(yaml, "x.yaml"));
}

template <class T = Everything>
std::string reading_refusal(const std::string& yaml) {
  try {
    read<T>(yaml);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

// The texts that the number of a key is refused for; both ends of the message.
void check_refused(const std::string& yaml, const std::string& message) {
  CHECK(reading_refusal(yaml) == message);
}

Everything unusual() {
  return {.shuffle = false,
          .steps = 9007199254740993,  // 2⁵³ + 1: lost if it went through a double
          .decay = 0.1 + 0.2,
          .name = "a: \"quoted\" # \\ text\nof two lines",
          .schedule = Ramp::constant,
          .clip = -1e-300,
          .note = "",
          .tail = Ramp::constant,
          .seeds = {},
          .rates = {1e300, -0.0, 5},
          .parts = {"true", "12", "null", "a, b", " x ", "[z]", "- y", "é", "{k: v}", "a\r\tb\x01"},
          .optimizer = {.lr = 1.0 / 3.0, .rank = 7}};
}

}  // namespace

template <>
struct attnlab::EnumNames<Ramp> {
  static constexpr std::array<std::pair<std::string_view, Ramp>, 2> rows{
      {{"constant", Ramp::constant}, {"cosine", Ramp::cosine}}};
};

TEST_CASE("every kind of member is read") {
  const auto config = read(R"(
shuffle: false
steps: 1_000
decay: 2.5e-1
name: 'a b'
schedule: constant
clip: +1
note: 12
tail: cosine
seeds: [3, 4]
rates: [.5, 2]
parts: [q, "k"]
optimizer: {lr: 0.5, rank: 8}
)");
  CHECK_FALSE(config.shuffle);
  CHECK(config.steps == 1000);
  CHECK(config.decay == 0.25);
  CHECK(config.name == "a b");
  CHECK(config.schedule == Ramp::constant);
  CHECK(config.clip == 1.0);
  CHECK(config.note == "12");
  CHECK(config.tail == Ramp::cosine);
  CHECK(config.seeds == std::vector<int64_t>{3, 4});
  CHECK(config.rates == std::vector<double>{0.5, 2});
  CHECK(config.parts == std::vector<std::string>{"q", "k"});
  CHECK(config.optimizer.lr == 0.5);
  CHECK(config.optimizer.rank == 8);
}

TEST_CASE("what is absent or empty keeps its default") {
  CHECK(fields_equal(read(""), Everything{}));
  CHECK(fields_equal(read("steps:\noptimizer:\nseeds: ~\nclip: null\n"), Everything{}));
}

TEST_CASE("the resolved dump reads back as the same struct") {
  for (const auto& config : {Everything{}, unusual()}) {
    const std::string dump = to_yaml(flatten(config));
    INFO(dump);
    const auto back = read(dump);
    CHECK(differences(flatten(config), flatten(back)) == std::vector<std::string>{});
    CHECK(fields_equal(config, back));
  }
}

TEST_CASE("the resolved dump of a list of structs reads back as the same list") {
  const Plan plan{
      .arms = {{.name = "a: #1", .optimizer = {.lr = 0.5}}, {.name = "b", .optimizer = {.rank = 2}}}};
  const std::string dump = to_yaml(flatten(plan));
  CHECK(dump ==
        "arms:\n  - name: \"a: #1\"\n    optimizer:\n      lr: 0.5\n"
        "  - name: b\n    optimizer:\n      lr: 0.001\n      rank: 2\n");
  CHECK(fields_equal(read<Plan>(dump), plan));
}

TEST_CASE("the resolved dump nests by key, in declaration order") {
  CHECK(to_yaml(flatten(Optimizer{.lr = 0.5, .rank = 2}, "train.optimizer.")) ==
        "train:\n  optimizer:\n    lr: 0.5\n    rank: 2\n");
}

TEST_CASE("an unknown key is refused with the nearest one and its own line") {
  check_refused("steps: 1\nstpes: 2\n",
                "x.yaml:2: stpes: found an unknown key (did you mean 'steps'?), expected one of steps, name, "
                "note, seeds, "
                "rates and 7 more");
  check_refused(
      "optimizer:\n  lr: 1\n  rnk: 2\n",
      "x.yaml:3: optimizer.rnk: found an unknown key (did you mean 'rank'?), expected one of lr, rank");
  CHECK_THAT(reading_refusal("zzz:\n  a: 1\nsteps: 1\n"),
             ContainsSubstring("x.yaml:1: zzz: found an unknown key"));
  CHECK_THAT(reading_refusal("zzz:\nsteps: 1\n"), ContainsSubstring("x.yaml:1: zzz: found an unknown key"));
  CHECK_THAT(reading_refusal("<<: {steps: 1}\n"), ContainsSubstring("<<: found an unknown key"));
}

TEST_CASE("keys that the caller reads by itself are known") {
  const auto node = parse_yaml("lr: 1\nextra: 2\n", "x.yaml");
  CHECK(read_config<Optimizer>(node, "p", {"extra"}).lr == 1);
  CHECK_THROWS_WITH(read_config<Optimizer>(node, "p"),
                    ContainsSubstring("x.yaml:2: p.extra: found an unknown key"));
}

TEST_CASE("a whole number is refused where it is none") {
  for (const char* text : {"many", "1.5", "1e3", "'5'", "0x10", "1_", "_1", "1__0", "+-1", "--1", "+", "_"}) {
    INFO(text);
    check_refused(std::string("name: a\nsteps: ") + text + "\n",
                  "x.yaml:2: steps: found '" + std::string(text == std::string("'5'") ? "5" : text) +
                      "', expected a whole number of at least 0");
  }
  check_refused("steps: [1]", "x.yaml:1: steps: found a list, expected a whole number of at least 0");
  check_refused("steps: {a: 1}", "x.yaml:1: steps: found a map, expected a whole number of at least 0");
}

TEST_CASE("a whole number has 64 bits") {
  CHECK(read("steps: 9223372036854775807").steps == INT64_MAX);
  check_refused("steps: 9223372036854775808",
                "x.yaml:1: steps: found '9223372036854775808', expected a whole number of at least 0");
  const std::string huge(1000, '9');  // shown shortened
  check_refused("steps: " + huge, "x.yaml:1: steps: found '" + huge.substr(0, 80) +
                                      "...', expected a whole number of at least 0");
}

TEST_CASE("a number is refused where it is none or not finite") {
  for (const char* text :
       {"nan", ".nan", "inf", "-inf", ".inf", "infinity", "1e999", "1,5", "1e", "0x1p3", "e5"}) {
    INFO(text);
    check_refused(std::string("decay: ") + text,
                  "x.yaml:1: decay: found '" + std::string(text) + "', expected a number");
  }
}

TEST_CASE("a number outside its range is refused with the range") {
  check_refused("steps: -1", "x.yaml:1: steps: found '-1', expected a whole number of at least 0");
  check_refused("optimizer: {lr: 0}",
                "x.yaml:1: optimizer.lr: found '0', expected a number above 0 and at most 10");
  check_refused("optimizer: {lr: 10.5}",
                "x.yaml:1: optimizer.lr: found '10.5', expected a number above 0 and at most 10");
  check_refused("optimizer: {rank: 0}",
                "x.yaml:1: optimizer.rank: found '0', expected a whole number of at least 1");
  check_refused("seeds:\n  - 1\n  - -2\n",
                "x.yaml:3: seeds[1]: found '-2', expected a whole number of at least 0");
}

TEST_CASE("true and false are written so and without quotes") {
  for (const char* text : {"yes", "True", "1", "\"true\"", "[true]"}) {
    INFO(text);
    CHECK_THAT(reading_refusal(std::string("shuffle: ") + text),
               ContainsSubstring("shuffle: found ") && ContainsSubstring("expected true or false"));
  }
}

TEST_CASE("text, lists and maps are refused in place of each other") {
  check_refused("name: [a]", "x.yaml:1: name: found a list, expected text");
  check_refused("seeds: 3", "x.yaml:1: seeds: found '3', expected a list");
  check_refused("seeds: {a: 1}", "x.yaml:1: seeds: found a map, expected a list");
  check_refused("seeds: [1, ~]", "x.yaml:1: seeds[1]: found nothing, expected a whole number of at least 0");
  check_refused("optimizer: adam", "x.yaml:1: optimizer: found 'adam', expected a map of keys");
  check_refused("- steps: 1", "x.yaml:1: found a list, expected a map of keys");
}

TEST_CASE("an unknown name is refused with the nearest one") {
  check_refused("schedule: cosin",
                "x.yaml:1: schedule: found 'cosin' (did you mean 'cosine'?), expected one of constant, cosine");
  check_refused("schedule: [cosine]", "x.yaml:1: schedule: found a list, expected one of constant, cosine");
}

TEST_CASE("a key that must be given is refused with its meaning where it is missing") {
  CHECK(reading_refusal<Plan>("arms:\n  - name: a\n  - optimizer: {lr: 1}\n") ==
        "x.yaml:3: arms[1].name: found nothing, expected the arm's name");
  CHECK(reading_refusal<Plan>("arms:\n") == "x.yaml:1: arms: found nothing, expected variants under test");
  CHECK_THAT(reading_refusal<Plan>(""), ContainsSubstring("x.yaml:1: arms: found nothing"));
}

TEST_CASE("a list of structs is read, and an error names the item") {
  const auto plan = read<Plan>("arms:\n  - name: a\n  - {name: b, optimizer: {rank: 4}}\n");
  REQUIRE(plan.arms.size() == 2);
  CHECK(plan.arms[1].name == "b");
  CHECK(plan.arms[1].optimizer.rank == 4);
  CHECK(reading_refusal<Plan>("arms:\n  - name: a\n    optimizer:\n      lrr: 1\n") ==
        "x.yaml:4: arms.a.optimizer.lrr: found an unknown key (did you mean 'lr'?), expected one of lr, rank");
}

TEST_CASE("an override is read in place of what the file says, and its errors name the option") {
  Node root = parse_yaml("steps: 1\noptimizer:\n  lr: 1\n", "x.yaml");
  set_path(root, "optimizer.lr", parse_yaml("0.25", "--set optimizer.lr=0.25"));
  set_path(root, "seeds", parse_yaml("[7]", "--set seeds=[7]"));
  const auto config = read_config<Everything>(root);
  CHECK(config.optimizer.lr == 0.25);
  CHECK(config.seeds == std::vector<int64_t>{7});
  set_path(root, "optimizer.lr", parse_yaml("fast", "--set optimizer.lr=fast"));
  CHECK_THROWS_WITH(read_config<Everything>(root), ContainsSubstring("--set optimizer.lr=fast") &&
                                                       ContainsSubstring("optimizer.lr: found 'fast'"));
}
