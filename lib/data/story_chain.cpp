// Stories about one quantity: a scene opens with a number (or a product), then things are added, taken away,
// multiplied or shared, and the question asks for what comes out.
#include "data/story_chain.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "data/story_scenes.h"

namespace attnlab {
namespace {

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
