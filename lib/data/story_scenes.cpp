#include "data/story_scenes.h"

namespace attnlab {
namespace {

Scene collection() {
  return {.items = {"stickers", "marbles", "cards", "shells", "stamps", "beads", "buttons", "pencils"},
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
          .holding = true};
}

Scene baking() {
  return {.items = {"cookies", "muffins", "pies", "rolls", "pancakes", "donuts"},
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
          .holding = true};
}

Scene garden() {
  return {
      .items = {"tulips", "roses", "carrots", "cabbages", "sunflowers", "onions"},
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
      .question = "How many {I} are in the garden now?"};
}

Scene wallet() {
  return {
      .items = {"dollars"},
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
      .money = true};
}

Scene ride() {
  return {.items = {"passengers"},
          .open = "A bus leaves the city with {n} passengers.",
          .product = "A train has {a} cars with {b} passengers in each car.",
          .product_line = "At the start there are",
          .gains = {"At the next stop, {n} passengers get on.", "At the station, {n} more passengers get on."},
          .losses = {"At the next stop, {n} passengers get off.", "At the bridge, {n} passengers get off."},
          .part_loss = "At the market, {f} of the passengers get off.",
          .state = "Now there are",
          .question = "How many passengers are there now?"};
}

Scene shop() {
  return {.items = {"shirts", "lamps", "chairs", "bikes", "hats", "radios"},
          .open = "A shop has {n} {I}.",
          .product = "A shop has {a} shelves with {b} {I} on each shelf.",
          .product_line = "The shop has",
          .gains = {"A truck brings {n} more {I}.", "The shop orders {n} more {I}."},
          .losses = {"The shop sells {n} {I}.", "A customer buys {n} {I}."},
          .part_loss = "In a sale, the shop sells {f} of the {I}.",
          .share = "The shop puts the {I} into {n} equal groups. How many {I} are in each group?",
          .share_line = "Each group has",
          .state = "The shop has",
          .question = "How many {I} does the shop have now?"};
}

Scene reading() {
  return {.items = {"pages"},
          .open = "{S} reads {n} pages on Monday.",
          .product = "{S} reads {b} pages a day for {a} days.",
          .product_line = "{S} reads",
          .gains = {"Then {S} reads {n} more pages.", "On Sunday, {S} reads {n} more pages."},
          .state = "{S} reads",
          .question = "How many pages does {S} read in all?"};
}

Scene tank() {
  return {.items = {"liters"},
          .open = "A tank holds {n} liters of water.",
          .product = "A pump puts {b} liters of water a minute into an empty tank for {a} minutes.",
          .product_line = "The tank holds",
          .gains = {"Rain adds {n} liters.", "{S} pours in {n} more liters."},
          .losses = {"{S} takes out {n} liters.", "The tank loses {n} liters through a leak."},
          .part_loss = "{S} uses {f} of the water.",
          .share = "{S} pours the water into {n} equal barrels. How many liters are in each barrel?",
          .share_line = "Each barrel holds",
          .state = "The tank holds",
          .question = "How many liters of water are in the tank now?"};
}

Scene drive() {
  return {.items = {"miles"},
          .open = "{S} drives {n} miles before lunch.",
          .product = "{S} drives at {b} miles an hour for {a} hours.",
          .product_line = "{S} drives",
          .gains = {"After lunch, {S} drives {n} more miles.", "Then {S} drives {n} more miles."},
          .state = "{S} drives",
          .question = "How many miles does {S} drive in all?"};
}

Scene farm() {
  return {.items = {"hens", "goats", "cows", "ducks", "pigs", "lambs"},
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
          .question = "How many {I} does the farm have now?"};
}

Scene school() {
  return {
      .items = {"students"},
      .open = "A school has {n} students.",
      .product = "A school has {a} classes with {b} students in each class.",
      .product_line = "The school has",
      .gains = {"In the fall, {n} new students join the school.", "Then {n} more students join the school."},
      .losses = {"In the summer, {n} students leave the school.", "Then {n} students move away."},
      .part_loss = "At the end of the year, {f} of the students leave the school.",
      .share = "The school makes {n} equal teams. How many students are in each team?",
      .share_line = "Each team has",
      .state = "The school has",
      .question = "How many students does the school have now?"};
}

Scene game() {
  return {.items = {"points"},
          .open = "{S} scores {n} points in the first game.",
          .product = "{S} plays {a} rounds and scores {b} points in each round.",
          .product_line = "{S} has",
          .gains = {"{S} scores {n} more points.", "{S} wins a bonus of {n} points."},
          .losses = {"{S} loses {n} points for a mistake.", "{S} loses {n} points in the last game."},
          .state = "{S} has",
          .question = "How many points does {S} have now?",
          .holding = true};
}

Scene factory() {
  return {.items = {"toys", "cups", "plates", "bottles", "clocks"},
          .open = "A factory makes {n} {I} in the morning.",
          .product = "A factory makes {b} {I} an hour for {a} hours.",
          .product_line = "The factory makes",
          .gains = {"In the evening, the factory makes {n} more {I}.", "A new machine makes {n} more {I}."},
          .losses = {"{n} {I} are broken and thrown away.", "The factory sends {n} {I} to a shop."},
          .part_loss = "The factory sends {f} of the {I} to a shop.",
          .share = "The workers pack the {I} into {n} equal crates. How many {I} are in each crate?",
          .share_line = "Each crate has",
          .state = "The factory has",
          .question = "How many {I} does the factory have now?"};
}

Scene phone() {
  return {.items = {"photos", "songs", "videos", "files"},
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
          .holding = true};
}

}  // namespace

const std::vector<Scene>& scenes() {
  // Stories choose by place: a scene more, or another order, changes what every seed gives.
  static const std::vector<Scene> table{collection(), baking(),  garden(),  wallet(), ride(),
                                        shop(),       reading(), tank(),    drive(),  farm(),
                                        school(),     game(),    factory(), phone()};
  return table;
}

}  // namespace attnlab
