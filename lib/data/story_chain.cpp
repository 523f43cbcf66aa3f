// Stories about one quantity: a scene opens with a number (or a product), then things are added, taken away,
// multiplied or shared, and the question asks for what comes out.
#include <algorithm>
#include <array>

#include "data/story.h"

namespace attnlab {
namespace {

// {S} the person, {F} a friend, {I} the items, {n} an amount, {a} {b} factors, {f} a part ("half", "25%").
// Empty texts: the scene has no such event.
struct Scene {
  std::vector<std::string_view> items;
  std::string_view open, product, product_line;
  std::vector<std::string_view> gains, losses = {};
  std::string_view part_loss = {}, multiple = {};
  std::string_view share = {}, share_line = {};
  std::string_view state, question;
  bool holding = false;  // {S} owns the items: friends can be compared, goals set, items sold
  bool money = false;
};

const std::vector<Scene>& scenes() {
  static const std::vector<Scene> table{
      {.items = {"stickers", "marbles", "cards", "shells", "stamps", "beads", "buttons", "pencils"},
       .open = "{S} has {n} {I}.",
       .product = "{S} has {a} boxes with {b} {I} in each box.",
       .product_line = "{S} has",
       .gains = {"{S} buys {n} more {I}.", "{F} gives {S} {n} more {I}.", "{S} finds {n} more {I}."},
       .losses = {"{S} gives {n} {I} to {F}.", "{S} loses {n} {I}.", "{S} sells {n} {I}."},
       .part_loss = "{S} gives {f} of the {I} to {F}.",
       .multiple = "A year later, {S} has {n} times as many {I}.",
       .share = "{S} puts the {I} into {n} equal bags. How many {I} are in each bag?",
       .share_line = "Each bag has",
       .state = "{S} has",
       .question = "How many {I} does {S} have now?",
       .holding = true},
      {.items = {"cookies", "muffins", "pies", "rolls", "pancakes", "donuts"},
       .open = "{S} bakes {n} {I}.",
       .product = "{S} bakes {a} trays of {I} with {b} {I} on each tray.",
       .product_line = "{S} bakes",
       .gains = {"{S} bakes {n} more {I}.", "{F} brings {n} more {I}."},
       .losses = {"{S} eats {n} {I}.", "{F} eats {n} {I}.", "The family eats {n} {I} for dinner."},
       .part_loss = "{S} sells {f} of the {I} at the market.",
       .share = "{S} packs the {I} into {n} equal boxes. How many {I} are in each box?",
       .share_line = "Each box has",
       .state = "{S} has",
       .question = "How many {I} does {S} have now?",
       .holding = true},
      {.items = {"tulips", "roses", "carrots", "cabbages", "sunflowers", "onions"},
       .open = "{S} plants {n} {I} in the garden.",
       .product = "{S} plants {a} rows of {I} with {b} {I} in each row.",
       .product_line = "The garden has",
       .gains = {"{S} plants {n} more {I}.", "{F} plants {n} more {I}."},
       .losses = {"A rabbit eats {n} {I}.", "{n} {I} dry out.", "{S} pulls out {n} {I}."},
       .part_loss = "A storm breaks {f} of the {I}.",
       .multiple = "The next spring, the garden has {n} times as many {I}.",
       .share = "{S} picks all the {I} and ties them into {n} equal bunches. How many {I} are in each bunch?",
       .share_line = "Each bunch has",
       .state = "The garden has",
       .question = "How many {I} are in the garden now?"},
      {.items = {"dollars"},
       .open = "{S} has ${n}.",
       .product = "{S} works for {a} hours and earns ${b} an hour.",
       .product_line = "{S} earns",
       .gains = {"{S} earns ${n} for washing cars.", "{F} pays {S} ${n}.", "{S} gets ${n} for {his} birthday."},
       .losses = {"{S} spends ${n} on food.", "{S} pays ${n} for a book.", "{S} gives ${n} to {F}."},
       .part_loss = "{S} spends {f} of the money on a gift.",
       .share = "{S} shares the money equally among {n} friends. How many dollars does each friend get?",
       .share_line = "Each friend gets",
       .state = "{S} has",
       .question = "How many dollars does {S} have now?",
       .holding = true,
       .money = true},
      {.items = {"passengers"},
       .open = "A bus leaves the city with {n} passengers.",
       .product = "A train has {a} cars with {b} passengers in each car.",
       .product_line = "At the start there are",
       .gains = {"At the next stop, {n} passengers get on.", "At the station, {n} more passengers get on."},
       .losses = {"At the next stop, {n} passengers get off.", "At the bridge, {n} passengers get off."},
       .part_loss = "At the market, {f} of the passengers get off.",
       .state = "Now there are",
       .question = "How many passengers are there now?"},
      {.items = {"shirts", "lamps", "chairs", "bikes", "hats", "radios"},
       .open = "A shop has {n} {I}.",
       .product = "A shop has {a} shelves with {b} {I} on each shelf.",
       .product_line = "The shop has",
       .gains = {"A truck brings {n} more {I}.", "The shop orders {n} more {I}."},
       .losses = {"The shop sells {n} {I}.", "A customer buys {n} {I}."},
       .part_loss = "In a sale, the shop sells {f} of the {I}.",
       .share = "The shop puts the {I} into {n} equal groups. How many {I} are in each group?",
       .share_line = "Each group has",
       .state = "The shop has",
       .question = "How many {I} does the shop have now?"},
      {.items = {"pages"},
       .open = "{S} reads {n} pages on Monday.",
       .product = "{S} reads {b} pages a day for {a} days.",
       .product_line = "{S} reads",
       .gains = {"Then {S} reads {n} more pages.", "On Sunday, {S} reads {n} more pages."},
       .state = "{S} reads",
       .question = "How many pages does {S} read in all?"},
      {.items = {"liters"},
       .open = "A tank holds {n} liters of water.",
       .product = "A pump puts {b} liters of water a minute into an empty tank for {a} minutes.",
       .product_line = "The tank holds",
       .gains = {"Rain adds {n} liters.", "{S} pours in {n} more liters."},
       .losses = {"{S} takes out {n} liters.", "The tank loses {n} liters through a leak."},
       .part_loss = "{S} uses {f} of the water.",
       .share = "{S} pours the water into {n} equal barrels. How many liters are in each barrel?",
       .share_line = "Each barrel holds",
       .state = "The tank holds",
       .question = "How many liters of water are in the tank now?"},
      {.items = {"miles"},
       .open = "{S} drives {n} miles before lunch.",
       .product = "{S} drives at {b} miles an hour for {a} hours.",
       .product_line = "{S} drives",
       .gains = {"After lunch, {S} drives {n} more miles.", "Then {S} drives {n} more miles."},
       .state = "{S} drives",
       .question = "How many miles does {S} drive in all?"},
      {.items = {"hens", "goats", "cows", "ducks", "pigs", "lambs"},
       .open = "A farm has {n} {I}.",
       .product = "A farm has {a} barns with {b} {I} in each barn.",
       .product_line = "The farm has",
       .gains = {"The farmer buys {n} more {I}.", "In the spring, {n} more {I} are born."},
       .losses = {"The farmer sells {n} {I}.", "{n} {I} run away."},
       .part_loss = "The farmer sells {f} of the {I}.",
       .multiple = "After a few years, the farm has {n} times as many {I}.",
       .share = "The farmer puts the {I} into {n} equal pens. How many {I} are in each pen?",
       .share_line = "Each pen has",
       .state = "The farm has",
       .question = "How many {I} does the farm have now?"},
      {.items = {"students"},
       .open = "A school has {n} students.",
       .product = "A school has {a} classes with {b} students in each class.",
       .product_line = "The school has",
       .gains = {"In the fall, {n} new students join the school.", "Then {n} more students join the school."},
       .losses = {"In the summer, {n} students leave the school.", "Then {n} students move away."},
       .part_loss = "At the end of the year, {f} of the students leave the school.",
       .share = "The school makes {n} equal teams. How many students are in each team?",
       .share_line = "Each team has",
       .state = "The school has",
       .question = "How many students does the school have now?"},
      {.items = {"points"},
       .open = "{S} scores {n} points in the first game.",
       .product = "{S} plays {a} rounds and scores {b} points in each round.",
       .product_line = "{S} has",
       .gains = {"{S} scores {n} more points.", "{S} wins a bonus of {n} points."},
       .losses = {"{S} loses {n} points for a mistake.", "{S} loses {n} points in the last game."},
       .state = "{S} has",
       .question = "How many points does {S} have now?",
       .holding = true},
      {.items = {"toys", "cups", "plates", "bottles", "clocks"},
       .open = "A factory makes {n} {I} in the morning.",
       .product = "A factory makes {b} {I} an hour for {a} hours.",
       .product_line = "The factory makes",
       .gains = {"In the evening, the factory makes {n} more {I}.", "A new machine makes {n} more {I}."},
       .losses = {"{n} {I} are broken and thrown away.", "The factory sends {n} {I} to a shop."},
       .part_loss = "The factory sends {f} of the {I} to a shop.",
       .share = "The workers pack the {I} into {n} equal crates. How many {I} are in each crate?",
       .share_line = "Each crate has",
       .state = "The factory has",
       .question = "How many {I} does the factory have now?"},
      {.items = {"photos", "songs", "videos", "files"},
       .open = "{S} has {n} {I} on {his} phone.",
       .product = "{S} has {a} folders with {b} {I} in each folder.",
       .product_line = "{S} has",
       .gains = {"{S} saves {n} more {I}.", "{F} sends {S} {n} more {I}."},
       .losses = {"{S} deletes {n} {I}."},
       .part_loss = "{S} deletes {f} of the {I}.",
       .multiple = "A month later, {S} has {n} times as many {I}.",
       .share = "{S} puts the {I} into {n} equal folders. How many {I} are in each folder?",
       .share_line = "Each folder has",
       .state = "{S} has",
       .question = "How many {I} does {S} have now?",
       .holding = true},
  };
  return table;
}

class Chain {
 public:
  Chain(Story& story, const Scene& scene)
      : story_(story),
        scene_(scene),
        random_(story.random),
        self_(story.person()),
        friend_(story.person()),
        items_(random_.pick(scene.items)) {}

  bool tell() {
    open();
    for (int tries = 0; story_.left() > 0; ++tries) {
      if (tries > 40) return false;
      if (event()) return true;
    }
    story_.say(text(scene_.question));
    return true;
  }

 private:
  std::string text(std::string_view pattern, int64_t n = 0, int64_t a = 0, int64_t b = 0,
                   const std::string& part = "") const {
    return fill(pattern, {{"S", std::string(self_.name)},
                          {"F", std::string(friend_.name)},
                          {"his", std::string(self_.his)},
                          {"I", items_},
                          {"n", std::to_string(n)},
                          {"a", std::to_string(a)},
                          {"b", std::to_string(b)},
                          {"f", part}});
  }
  void line(const std::string& before, const std::string& written, int64_t result) {
    story_.line(before, written, result, scene_.money ? "" : items_, scene_.money);
  }

  void open() {
    const bool product = random_.between(0, 2) == 0;
    if (!product) {
      story_.value = random_.between(4, story_.scale.start);
      story_.say(text(scene_.open, story_.value));
      return;
    }
    const int64_t a = story_.number(story_.scale.factor);
    const int64_t b = story_.number(std::min(story_.scale.start / 2, story_.scale.cap / a / 2));
    story_.say(text(scene_.product, 0, a, b));
    line(text(scene_.product_line), expression(a, '*', b), a * b);
  }

  // One event of a kind that is drawn; nothing happens if it does not fit. True: it asked the question.
  bool event() {
    switch (random_.between(0, 8)) {
      case 0:
      case 1:
        gain();
        return false;
      case 2:
      case 3:
        lose();
        return false;
      case 4:
        lose_part();
        return false;
      case 5:
        multiply();
        return false;
      case 6:
        return share();
      case 7:
        return compare();
      default:
        return set_goal_or_sell();
    }
  }

  // A sentence that the story does not have yet; empty if this draw gives one that it has.
  std::string_view fresh(const std::vector<std::string_view>& patterns) {
    if (patterns.empty()) return {};
    const std::string_view pattern = random_.pick(patterns);
    if (std::find(used_.begin(), used_.end(), pattern) != used_.end()) return {};
    used_.push_back(pattern);
    return pattern;
  }

  void gain() {
    const int64_t n = story_.number(story_.scale.amount), before = story_.value;
    if (before + n > story_.scale.cap) return;
    const std::string_view pattern = fresh(scene_.gains);
    if (pattern.empty()) return;
    story_.say(text(pattern, n));
    line(text(scene_.state), expression(before, '+', n), before + n);
  }
  void lose() {
    const int64_t before = story_.value;
    if (before < 4) return;
    const std::string_view pattern = fresh(scene_.losses);
    if (pattern.empty()) return;
    const int64_t n = story_.number(std::min(story_.scale.amount, before - 2));
    story_.say(text(pattern, n));
    line(text(scene_.state), expression(before, '-', n), before - n);
  }

  // Two lines: the part, then what remains.
  void lose_part() {
    const int64_t before = story_.value;
    if (story_.left() < 2 || scene_.part_loss.empty()) return;
    static constexpr std::array<std::pair<std::string_view, int64_t>, 4> fractions{
        {{"half", 2}, {"a third", 3}, {"a quarter", 4}, {"a fifth", 5}}};
    static constexpr std::array<int64_t, 6> percents{10, 20, 25, 40, 50, 75};
    std::string part, written;
    int64_t taken = 0;
    if (random_.between(0, 1) == 0) {
      const auto& [name, parts] = random_.pick(fractions);
      if (before % parts != 0) return;
      part = name;
      written = expression(before, '/', parts);
      taken = before / parts;
    } else {
      const int64_t percent = random_.pick(percents);
      if (before * percent % 100 != 0) return;
      part = std::to_string(percent) + "%";
      written = expression(before, '*', percent) + " / 100";
      taken = before * percent / 100;
    }
    if (taken < 2 || before - taken < 2 || fresh({scene_.part_loss}).empty()) return;
    story_.say(text(scene_.part_loss, 0, 0, 0, part));
    std::string start = part + " of " + std::to_string(before) + " is";
    start[0] = static_cast<char>(std::toupper(start[0]));
    story_.line(start, written, taken);
    line(text(scene_.state), expression(before, '-', taken), before - taken);
  }

  void multiply() {
    const int64_t n = story_.number(story_.scale.factor), before = story_.value;
    if (scene_.multiple.empty() || before * n > story_.scale.cap || fresh({scene_.multiple}).empty()) return;
    story_.say(text(scene_.multiple, n));
    line(text(scene_.state), expression(before, '*', n), before * n);
  }

  bool share() {
    const int64_t before = story_.value, k = story_.divisor(before);
    if (story_.left() != 1 || scene_.share.empty() || k == 0) return false;
    story_.say(text(scene_.share, k));
    line(text(scene_.share_line), expression(before, '/', k), before / k);
    return true;
  }

  // A friend has more, fewer or a multiple; with two lines left the question is for both together.
  bool compare() {
    if (!scene_.holding || story_.left() > 2) return false;
    const int64_t before = story_.value;
    const int64_t kind = random_.between(0, 2);
    const int64_t n = kind == 0   ? story_.number(story_.scale.factor)
                      : kind == 1 ? story_.number(story_.scale.amount)
                                  : story_.number(std::min(story_.scale.amount, before - 2));
    const int64_t other = kind == 0 ? before * n : kind == 1 ? before + n : before - n;
    if (other < 2 || other + before > story_.scale.cap) return false;
    static constexpr std::array<std::string_view, 3> sentences{"{F} has {n} times as many {I} as {S} has now.",
                                                               "{F} has {n} more {I} than {S} has now.",
                                                               "{F} has {n} fewer {I} than {S} has now."};
    static constexpr std::array<char, 3> operators{'*', '+', '-'};
    const bool together = story_.left() == 2;
    story_.say(text(sentences[static_cast<size_t>(kind)], n));
    line(text("{F} has"), expression(before, operators[static_cast<size_t>(kind)], n), other);
    if (together) line("Together they have", expression(before, '+', other), before + other);
    story_.say(text(together ? "How many {I} do they have together?" : "How many {I} does {F} have?"));
    return true;
  }

  bool set_goal_or_sell() {
    if (!scene_.holding || story_.left() != 1) return false;
    const int64_t before = story_.value;
    if (scene_.money || items_ == "points" || random_.between(0, 1) == 0) {
      const int64_t n = story_.number(story_.scale.amount);
      story_.say(text("{S} wants to have {n} {I}. How many more {I} does {S} need?", before + n));
      line(text("{S} needs"), expression(before + n, '-', before), n);
    } else {
      const int64_t price = story_.number(std::min(story_.scale.factor, story_.scale.cap / before));
      story_.say(text("{S} sells all the {I} for ${n} each. How many dollars does {S} get?", price));
      story_.line(text("{S} gets"), expression(before, '*', price), before * price, "", true);
    }
    return true;
  }

  Story& story_;
  const Scene& scene_;
  Random& random_;
  Person self_, friend_;
  std::string items_;
  std::vector<std::string_view> used_;
};

}  // namespace

bool tell_chain(Story& story) {
  const Scene& scene = story.random.pick(scenes());
  return Chain(story, scene).tell();
}

}  // namespace attnlab
