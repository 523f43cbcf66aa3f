// The rotary keys of config.json in both forms, and what is refused.
#include <cmath>

#include "attention/rotary.h"
#include "catch.h"
#include "config_json.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::config_json;
using test::read_json;
using test::refusal;
using test::with;
using test::without;

const std::vector<std::string> kTypes{"llama",  "mistral", "mixtral",     "qwen2",      "qwen3",
                                      "gemma2", "phi3",    "deepseek_v2", "deepseek_v3"};

const std::vector<std::string> kByFrequency{"default", "linear", "dynamic", "llama3", "yarn"};
const std::vector<std::string> kAll{"default", "linear", "dynamic", "llama3", "yarn", "longrope"};

// Factors for the pairs of the heads that config_json gives the family.
json rope_object(const std::string& rope_type, const std::string& family) {
  const size_t pairs = family == "qwen3" ? 64 : family == "gemma2" ? 128 : 2;
  if (rope_type == "linear") return {{"rope_type", "linear"}, {"factor", 2.0}};
  if (rope_type == "llama3")
    return {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 32}};
  if (rope_type == "longrope")
    return {{"rope_type", "longrope"},
            {"short_factor", std::vector<double>(pairs, 1.5)},
            {"long_factor", std::vector<double>(pairs, 4.0)},
            {"original_max_position_embeddings", 32}};
  if (rope_type == "dynamic") return {{"rope_type", "dynamic"}, {"factor", 2.0}};
  if (rope_type == "yarn")
    return {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  return {{"rope_type", rope_type}};
}

json llama_with(const json& scaling) { return with(config_json("llama"), "rope_scaling", scaling); }
json llama_with(const std::string& type, const std::string& key, const json& value) {
  return llama_with(with(rope_object(type, "llama"), key, value));
}

TEST_CASE("each family takes the rope types that it has, and refuses the others with the key") {
  const std::map<std::string, std::vector<std::string>> has{{"gemma2", kByFrequency},
                                                            {"phi3", {"default", "longrope"}},
                                                            {"deepseek_v2", kByFrequency},
                                                            {"deepseek_v3", kByFrequency}};
  for (const auto& family : kTypes)
    for (const std::string type : {"default", "linear", "llama3", "longrope", "yarn", "dynamic", "axial"}) {
      INFO(family << " with " << type);
      const auto& mine = has.count(family) ? has.at(family) : kAll;
      const auto text = refusal(with(config_json(family), "rope_scaling", rope_object(type, family)));
      if (std::find(mine.begin(), mine.end(), type) != mine.end())
        CHECK(text == "accepted");
      else
        CHECK_THAT(
            text, ContainsSubstring("rope_scaling.rope_type: found \"" + type + "\", expected one of default"));
    }
}

TEST_CASE("YaRN in both forms and under both names of its type") {
  const json yarn{{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  CHECK(read_json(with(config_json("deepseek_v3"), "rope_scaling", yarn)).rope_scaling->type == RopeType::yarn);
  const json newer{{"rope_type", "yarn"}, {"factor", 4.0}};
  const auto scaling = *read_json(with(config_json("qwen2"), "rope_parameters", newer)).rope_scaling;
  CHECK(scaling.original_positions == 128);  // max_position_embeddings, as transformers takes it
  CHECK(scaling.beta_fast == 32);
  CHECK(scaling.beta_slow == 1);
  CHECK(scaling.truncate);
}

// m(s) = 1 + 0.1 s ln 4.
TEST_CASE("YaRN's factors on cos and sin, and on DeepSeek's scores") {
  const auto m = [](double s) { return 1 + 0.1 * s * std::log(4.0); };
  const auto read = [](const json& more) {
    json scaling = rope_object("yarn", "llama");
    scaling.update(more);
    return *read_json(llama_with(scaling)).rope_scaling;
  };
  CHECK(read(json::object()).table_factor() == Approx(m(1)));
  CHECK(read(json::object()).mla_score_factor() == 1);
  CHECK(read({{"mscale", 0.7}}).table_factor() == Approx(m(1)));
  const auto both = read({{"mscale", 0.7}, {"mscale_all_dim", 0.5}});
  CHECK(both.table_factor() == Approx(m(0.7) / m(0.5)));
  CHECK(both.mla_score_factor() == Approx(m(0.5) * m(0.5)));
  const auto given = read({{"mscale", 0.7}, {"mscale_all_dim", 0.5}, {"attention_factor", 1.25}});
  CHECK(given.table_factor() == 1.25);
  CHECK(given.mla_score_factor() == Approx(m(0.5) * m(0.5)));
  CHECK(both.with_plain_factor().table_factor() == both.table_factor());
  CHECK(both.with_plain_factor().mla_score_factor() == 1);
  CHECK(read({{"factor", 0.5}}).table_factor() == 1);
  CHECK(read({{"factor", nullptr}}).factor == 4);  // the ratio of the contexts, 128 and 32
}

TEST_CASE("yarn and dynamic: what they need, and how far they reach") {
  CHECK_THAT(refusal(llama_with("yarn", "beta_fast", 0.5)),
             ContainsSubstring("rope_scaling.beta_fast: found 0.5, expected at least beta_slow 1"));
  CHECK_THAT(refusal(llama_with("yarn", "mscale", -1)), ContainsSubstring("rope_scaling.mscale: found -1"));
  CHECK_THAT(refusal(llama_with("yarn", "truncate", 1)), ContainsSubstring("rope_scaling.truncate: found 1"));
  CHECK_THAT(refusal(llama_with("yarn", "attention_factor", 0)),
             ContainsSubstring("rope_scaling.attention_factor: found 0"));
  CHECK_THAT(refusal(with(llama_with(rope_object("yarn", "llama")), "rope_theta", 1)),
             ContainsSubstring("rope_theta: found 1"));
  CHECK_THAT(refusal(llama_with("dynamic", "original_max_position_embeddings", 32)),
             ContainsSubstring("rope_scaling.original_max_position_embeddings: found 32, expected 128"));
  json narrow = llama_with(rope_object("dynamic", "llama"));
  narrow["head_dim"] = 2;
  CHECK_THAT(refusal(narrow), ContainsSubstring("needs heads that turn 4 numbers or more"));
  CHECK(read_json(llama_with(rope_object("dynamic", "llama"))).longest_sequence() == 256);
  CHECK(read_json(llama_with(rope_object("yarn", "llama"))).longest_sequence() == 128);
  CHECK(read_json(llama_with("yarn", "factor", 8.0)).longest_sequence() == 256);
  CHECK(read_json(llama_with(rope_object("linear", "llama"))).longest_sequence() == 128);
}

// Half as wide, the frequencies are every second one of the whole width's.
TEST_CASE("rotary of a part of the frequencies is scaled as the whole is") {
  const auto positions = torch::arange(9).unsqueeze(0), length = torch::tensor({200});
  for (const auto& type : kAll) {
    if (type == "longrope") continue;
    INFO(type);
    const auto scaling =
        type == "default" ? std::nullopt : read_json(llama_with(rope_object(type, "llama"))).rope_scaling;
    const auto whole = Rotary(16, 100, scaling).tables(positions, length, torch::kFloat32).cos_BTH;
    const auto part = Rotary(8, 100, scaling, 16).tables(positions, length, torch::kFloat32).cos_BTH;
    const auto expected = whole.narrow(2, 0, 8).slice(2, std::nullopt, std::nullopt, 2);
    CHECK(torch::equal(part.narrow(2, 0, 4), expected));
    CHECK(torch::equal(part.narrow(2, 4, 4), expected));
    const bool differs = type == "yarn" || type == "dynamic";
    const auto alone = Rotary(8, 100, scaling).tables(positions, length, torch::kFloat32).cos_BTH;
    CHECK(torch::allclose(part, alone, 1e-5, 1e-6) == !differs);
  }
}

TEST_CASE("both forms of the rotary keys say the same") {
  for (const auto& type : kAll) {
    INFO(type);
    const json older = llama_with(rope_object(type, "llama"));
    json newer = without(config_json("llama"), "rope_theta");
    newer["rope_parameters"] = with(rope_object(type, "llama"), "rope_theta", 500000.0);
    newer["dtype"] = "bfloat16";
    CHECK(fields_equal(read_json(older), read_json(newer)));
    CHECK(read_json(newer).rope_theta == 500000);
    CHECK(read_json(newer).rope_scaling.has_value() == (type != "default"));
    // The older name of the type's key.
    const json named = with(without(rope_object(type, "llama"), "rope_type"), "type", type);
    CHECK(fields_equal(read_json(llama_with(named)), read_json(newer)));
  }
  const json phi = with(config_json("phi3"), "partial_rotary_factor", 0.5);
  const json in_object =
      with(config_json("phi3"), "rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}});
  CHECK(read_json(phi).rotary_dim == 2);
  CHECK(fields_equal(read_json(phi), read_json(in_object)));
}

TEST_CASE("both forms at once must agree") {
  json config = llama_with(rope_object("linear", "llama"));
  CHECK(refusal(with(config, "rope_parameters", nullptr)) == "accepted");
  CHECK(refusal(with(config, "rope_parameters", rope_object("linear", "llama"))) == "accepted");
  config["rope_parameters"] = rope_object("llama3", "llama");
  CHECK_THAT(refusal(config), ContainsSubstring("rope_parameters: found"));
}

TEST_CASE("both forms at once are compared by what they mean") {
  const auto both = [](const json& older, const json& newer) {
    return refusal(with(llama_with(older), "rope_parameters", newer));
  };
  const json linear{{"rope_type", "linear"}, {"factor", 2.0}};
  CHECK(both(linear, {{"type", "linear"}, {"factor", 2}}) == "accepted");
  CHECK(both(linear, with(linear, "rope_theta", 500000)) == "accepted");
  CHECK(both(linear, with(linear, "beta_fast", 32)) == "accepted");
  CHECK(both(json::object(), linear) == "accepted");  // an empty one says nothing
  CHECK(both({{"rope_type", "default"}}, {{"rope_theta", 5e5}}) == "accepted");
  CHECK_THAT(both(linear, with(linear, "factor", 4.0)),
             ContainsSubstring("rope_parameters: found") && ContainsSubstring("what rope_scaling says"));
  CHECK_THAT(both(linear, {{"rope_type", "default"}}), ContainsSubstring("what rope_scaling says"));
  CHECK_THAT(both(linear, with(linear, "rope_theta", 10000.0)),
             ContainsSubstring("rope_parameters.rope_theta: found 10000.0, expected 500000.0"));
}

TEST_CASE("a key in the object and beside it says the same, and so do both names of the type") {
  const json llama = config_json("llama"), phi = with(config_json("phi3"), "partial_rotary_factor", 0.5);
  CHECK(refusal(with(llama, "rope_parameters", {{"rope_theta", 500000}})) == "accepted");
  CHECK_THAT(
      refusal(with(llama, "rope_parameters", {{"rope_theta", 10000}})),
      ContainsSubstring("rope_parameters.rope_theta: found 10000, expected 500000.0, as rope_theta beside"));
  CHECK(refusal(with(phi, "rope_parameters", {{"partial_rotary_factor", 0.5}})) == "accepted");
  CHECK_THAT(refusal(with(phi, "rope_parameters", {{"partial_rotary_factor", 1.0}})),
             ContainsSubstring("rope_parameters.partial_rotary_factor: found 1.0, expected 0.5"));
  CHECK(refusal(llama_with("linear", "type", "linear")) == "accepted");
  CHECK_THAT(refusal(llama_with("linear", "type", "default")),
             ContainsSubstring("rope_scaling.type: found \"default\", expected \"linear\", as rope_type says"));
}

TEST_CASE("keys of other types change nothing and are noted, misspelt ones and objects are refused") {
  const auto notes_of = [](const json& config) {
    std::vector<std::string> notes;
    read_decoder_config(config, "config.json", &notes);
    return notes;
  };
  using Notes = std::vector<std::string>;
  const json plain = config_json("llama");
  for (const char* key : {"factor", "low_freq_factor", "mrope_section", "beta_fast", "what_others_say"}) {
    const json config = llama_with("default", key, json::array({1, 2}));
    CHECK(fields_equal(read_json(config), read_json(plain)));
    CHECK(notes_of(config) == Notes{std::string("config.json: rope_scaling.") + key +
                                    ": [1,2] is not used: rope type default has no such key"});
  }
  CHECK(notes_of(llama_with("linear", "beta_fast", 32)) ==
        Notes{"config.json: rope_scaling.beta_fast: 32 is not used: rope type linear has no such key"});
  CHECK(notes_of(llama_with("longrope", "low_freq_factor", 2.0)).size() == 1);
  CHECK(notes_of(llama_with("default", "original_max_position_embeddings", 64)).empty());
  CHECK(notes_of(llama_with("default", "factor", nullptr)).empty());
  CHECK_THAT(refusal(llama_with("linear", "beta_quick", 32)),
             ContainsSubstring("rope_scaling.beta_quick: found 32"));
  // Each type of layer its own.
  CHECK_THAT(refusal(llama_with({{"full_attention", {{"rope_type", "linear"}, {"factor", 2.0}}}})),
             ContainsSubstring("rope_scaling.full_attention: found") && ContainsSubstring("for all layers"));
}

TEST_CASE("the object of the rotary keys: an object or null, and no key that is misspelt") {
  CHECK(refusal(llama_with(json(nullptr))) == "accepted");
  CHECK_THAT(refusal(llama_with(json(3))), ContainsSubstring("rope_scaling: found 3, expected an object"));
  CHECK_THAT(refusal(llama_with("linear", "rope_type", 3)),
             ContainsSubstring("rope_scaling.rope_type: found 3"));
  CHECK(refusal(llama_with("linear", "beta_fast", nullptr)) == "accepted");
  CHECK(refusal(llama_with("default", "original_max_position_embeddings", 64)) == "accepted");
  CHECK_THAT(refusal(llama_with("linear", "factr", 2)), ContainsSubstring("did you mean 'factor'?"));
  CHECK_THAT(refusal(llama_with("default", "rope_theta", 0)),
             ContainsSubstring("rope_scaling.rope_theta: found 0"));
  CHECK_THAT(refusal(with(config_json("llama"), "rope_theta", "10")), ContainsSubstring("rope_theta: found"));
}

TEST_CASE("each rope type's own keys are needed and checked") {
  CHECK(read_json(llama_with(rope_object("linear", "llama"))).rope_scaling->factor == 2);
  const auto scaling = *read_json(llama_with(rope_object("llama3", "llama"))).rope_scaling;
  CHECK(scaling.type == RopeType::llama3);
  CHECK(scaling.factor == 8);
  CHECK(scaling.low_freq_factor == 1);
  CHECK(scaling.high_freq_factor == 4);
  CHECK(scaling.original_positions == 32);
  for (const std::string type : {"linear", "dynamic", "llama3", "longrope"}) {
    const json object = rope_object(type, "llama");
    for (const auto& [key, value] : object.items()) {
      if (key == "rope_type") continue;
      INFO(type << " without " << key);
      CHECK_THAT(refusal(llama_with(without(object, key))),
                 ContainsSubstring("rope_scaling." + key + ": found nothing"));
      CHECK_THAT(refusal(llama_with(with(object, key, -1))),
                 ContainsSubstring("rope_scaling." + key + ": found -1"));
    }
  }
  CHECK_THAT(
      refusal(llama_with("llama3", "high_freq_factor", 1.0)),
      ContainsSubstring("rope_scaling.high_freq_factor: found 1.0, expected more than low_freq_factor 1"));
}

TEST_CASE("the original context may stand beside the object") {
  for (const std::string type : {"llama3", "longrope", "yarn"}) {
    json config = llama_with(without(rope_object(type, "llama"), "original_max_position_embeddings"));
    config["original_max_position_embeddings"] = 64;
    CHECK(read_json(config).rope_scaling->original_positions == 64);
    // Which one counts where both are there depends on who reads: they must say the same.
    config["rope_scaling"] = rope_object(type, "llama");
    CHECK_THAT(refusal(config), ContainsSubstring("original_max_position_embeddings: found 32, expected 64"));
    config["original_max_position_embeddings"] = 32;
    CHECK(read_json(config).rope_scaling->original_positions == 32);
  }
}

TEST_CASE("longrope's earlier name in Phi-3") {
  const json scaling{{"type", "su"}, {"short_factor", json::array()}, {"long_factor", json::array()}};
  json phi = config_json("phi3");
  phi["rope_scaling"] = scaling;
  const auto pairs = static_cast<size_t>(read_json(config_json("phi3")).turning_dim() / 2);
  for (const char* key : {"short_factor", "long_factor"})
    phi["rope_scaling"][key] = json(std::vector<double>(pairs, 2.0));
  phi["original_max_position_embeddings"] = 16;
  REQUIRE(read_json(phi).rope_scaling);
  CHECK(read_json(phi).rope_scaling->type == RopeType::longrope);
}

TEST_CASE("longrope: a factor for each pair that turns, and a growth that is the contexts' ratio") {
  const auto scaling = *read_json(llama_with(rope_object("longrope", "llama"))).rope_scaling;
  CHECK(scaling.factor == 4);  // 128 / 32
  CHECK_FALSE(scaling.attention_factor);
  CHECK(scaling.short_factors == std::vector<double>{1.5, 1.5});
  CHECK(scaling.long_factors == std::vector<double>{4, 4});
  CHECK(*read_json(llama_with("longrope", "attention_factor", 1.25)).rope_scaling->attention_factor == 1.25);
  CHECK(refusal(llama_with("longrope", "factor", 4.0)) == "accepted");
  CHECK_THAT(refusal(llama_with("longrope", "factor", 8.0)),
             ContainsSubstring("rope_scaling.factor: found 8.0, expected 4"));
  CHECK_THAT(refusal(llama_with("longrope", "short_factor", json::array({1.0}))),
             ContainsSubstring("rope_scaling.short_factor: found [1.0], expected a list of 2 numbers above 0"));
  CHECK_THAT(refusal(llama_with("longrope", "long_factor", json::array({1.0, 2.0, 3.0}))),
             ContainsSubstring("expected a list of 2 numbers"));
  CHECK_THAT(refusal(llama_with("longrope", "long_factor", json::array({1.0, 0.0}))),
             ContainsSubstring("rope_scaling.long_factor"));
  CHECK_THAT(refusal(llama_with("longrope", "long_factor", json::array({1.0, "2"}))),
             ContainsSubstring("rope_scaling.long_factor"));
  CHECK_THAT(refusal(llama_with("longrope", "attention_factor", 0)),
             ContainsSubstring("rope_scaling.attention_factor"));
  // √(1 + ln growth / ln original) has no meaning for an original context of one token.
  CHECK_THAT(refusal(llama_with("longrope", "original_max_position_embeddings", 1)),
             ContainsSubstring("2 or more"));
  json given = with(rope_object("longrope", "llama"), "original_max_position_embeddings", 1);
  CHECK(refusal(llama_with(with(given, "attention_factor", 1.0))) == "accepted");
}

TEST_CASE("partial rotary is Phi's, an even part of a head") {
  const json phi = with(config_json("phi3"), "head_dim", 8);
  const auto part = [&](const json& factor) { return with(phi, "partial_rotary_factor", factor); };
  CHECK(read_json(phi).rotary_dim == 0);
  CHECK(read_json(part(1.0)).rotary_dim == 0);  // one spelling for all of it
  CHECK(read_json(part(0.75)).rotary_dim == 6);
  CHECK(read_json(part(0.75)).turning_dim() == 6);
  for (const json& factor : {json(1.5), json(0.1), json(0.4), json(0), json("0.5")})
    CHECK_THAT(refusal(part(factor)), ContainsSubstring("partial_rotary_factor: found"));
  // Its longrope has a factor for each pair that turns.
  json longrope = part(0.75);
  longrope["rope_scaling"] = rope_object("longrope", "phi3");
  CHECK_THAT(refusal(longrope), ContainsSubstring("expected a list of 3 numbers"));
  for (const char* key : {"short_factor", "long_factor"})
    longrope["rope_scaling"][key] = json::array({1.0, 2.0, 3.0});
  CHECK(refusal(longrope) == "accepted");
  for (const auto& type : kTypes) {
    if (type == "phi3") continue;
    INFO(type);
    CHECK(refusal(with(config_json(type), "partial_rotary_factor", 1.0)) == "accepted");
    CHECK_THAT(refusal(with(config_json(type), "partial_rotary_factor", 0.5)),
               ContainsSubstring("partial_rotary_factor: found 0.5"));
  }
}

}  // namespace
}  // namespace attnlab
