#include "compare/planned_config.h"

#include <algorithm>
#include <set>

#include "config/document.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse_plan(const Node& at, const std::string& key, const std::string& found,
                              const std::string& expected, const std::string& nearest = "") {
  throw InputError(BadInput{at.file, at.line, key, found, expected, nearest});
}

const Node& key_of(const Node& node, const char* name) {
  const Node* part = node.find(name);
  return part ? *part : node;
}

bool names_loss(const std::string& metric) { return metric == "training_loss" || metric == "heldout_loss"; }

void check_claim(const PlannedClaim& claim, const Node& node, const std::string& prefix,
                 const std::vector<std::string>& arms) {
  for (const auto& [key, arm] : {std::pair{"arm", claim.arm}, {"against", claim.against}})
    if (std::find(arms.begin(), arms.end(), arm) == arms.end())
      detail::wrong_name(key_of(node, key), prefix + "." + key, arms);
  if (claim.arm == claim.against)
    refuse_plan(key_of(node, "against"), prefix + ".against", "'" + claim.against + "', the arm itself",
                "another arm");
  for (const char* key : {"problem_sd", "rest_sd"})
    if (names_loss(claim.metric) && node.find(key))
      refuse_plan(*node.find(key), prefix + "." + key, "a value",
                  "none with a loss, which varies over seeds alone");
  if (!names_loss(claim.metric) && claim.matters >= 100)
    refuse_plan(key_of(node, "matters"), prefix + ".matters", key_of(node, "matters").describe(),
                "points below 100");
}

void check_controls(const ClaimsConfig& config, const Node& node) {
  for (size_t i = 0; i < config.add.size(); ++i) {
    const Node& at = node.find("add")->items[i];
    const auto control = from_name<Control>(config.add[i]);
    const std::vector<std::string> can_be_added{"untrained_base", "same_training", "chosen_rate"};
    if (!control) detail::wrong_name(at, "claims.add", all_names<Control>());
    if (std::find(can_be_added.begin(), can_be_added.end(), config.add[i]) == can_be_added.end())
      refuse_plan(at, "claims.add", at.describe() + ", which needs a look at the model or at results",
                  one_of(can_be_added) + "; --dry-run says how to add the others");
  }
}

}  // namespace

double SealedClaims::alpha_of(const PlannedClaim& claim) const {
  const size_t tests = std::max<size_t>(1, claims.list.size() * std::max<size_t>(1, sweep_points.size()));
  return claim.alpha.value_or(claims.alpha) / static_cast<double>(tests);
}

std::string about(const PlannedClaim& claim) {
  std::string words(name_of(claim.expect));
  std::replace(words.begin(), words.end(), '_', ' ');
  return claim.metric + " of " + claim.arm + " " + words +
         (claim.expect == ClaimDirection::equal ? " to " : " than ") + claim.against;
}

ClaimsConfig read_planned_claims(const Node& node, const std::vector<std::string>& arms) {
  auto config = read_config<ClaimsConfig>(node, "claims");
  check_controls(config, node);
  if (config.list.empty()) refuse_plan(key_of(node, "list"), "claims.list", "nothing", "at least one claim");
  std::set<std::string> ids;
  for (size_t i = 0; i < config.list.size(); ++i) {
    const Node& item = node.find("list")->items[i];
    const std::string prefix = detail::item_key(item, "claims.list", i);
    check_claim(config.list[i], item, prefix, arms);
    if (!ids.insert(config.list[i].id).second)
      refuse_plan(*item.find("id"), prefix + ".id", "'" + config.list[i].id + "' again", "an id of its own");
  }
  return config;
}

std::string seal_text(const SealedClaims& sealed) { return to_yaml(flatten(sealed)); }

SealedClaims read_sealed(const std::string& text, const std::string& origin) {
  return read_config<SealedClaims>(parse_yaml(text, origin));
}

}  // namespace attnlab
