// Cases of caches, by what they are about.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crosscheck/case_check.h"
#include "model/decoder.h"

namespace attnlab {

// The model that a case names, in float64: a folder of this name beside one of the folders that the case lies
// in, or in a folder beside them. Null: there is none.
std::shared_ptr<Decoder> model_of(const CaseFile& file);

// The case's method, without the words that tell of a latent.
std::string method_of(const CaseFile& file);

// Whether the case is about tokens that leave; then which ones are held, and logits.
bool is_eviction(const CaseFile& file);
void check_eviction(const CaseFile& file, CaseCheck& check);

// Whether the case is about numbers that are coded; then codes, scales, what is read back, and logits.
bool is_storage(const CaseFile& file);
void check_storage(const CaseFile& file, CaseCheck& check);
// Of them transformers' own, and those of KVQuant.
void check_transformers_cache(const CaseFile& file, CaseCheck& check);
bool is_kvquant(const CaseFile& file);
void check_kvquant(const CaseFile& file, CaseCheck& check);

// Whether the case is about caches that layers share; then what is merged, kept and read, and logits.
bool is_cross(const CaseFile& file);
void check_cross(const CaseFile& file, CaseCheck& check);
// Whether it has a model of which some layers read the cache of another.
bool is_layout(const CaseFile& file);
void check_layout(const CaseFile& file, CaseCheck& check);

// The case's "params"; a whole number among them. Throws InputError where it is missing.
const nlohmann::json& params_of(const CaseFile& file);
int64_t param(const CaseFile& file, const char* key);
// Codes differ in so many at rounding boundaries; scales and thresholds, and what is read back, by so much.
inline constexpr double kBoundaryShare = 0.002;
inline constexpr Allowed kScales{.relative = 1e-6}, kRead{.relative = 1e-5};
// What is read back, but for numbers on the edge between two codes, which may fall to either side.
void compare_read(CaseCheck& check, const std::string& name, const torch::Tensor& ours,
                  const torch::Tensor& expected);

// Logits behind a prompt and at given tokens, from a cache as computed and from one under the plan.
// `behind`, if given, hears of the plan's states behind the last token.
void compare_decoding(const CaseFile& file, CaseCheck& check, Decoder& decoder, const CachePlan& plan,
                      const std::function<void(const std::vector<LayerState>&)>& behind = {});

// Whether it is about tokens that leave layers; then which ones each layer looks at and runs, and logits.
bool is_lazy(const CaseFile& file);
void check_lazy(const CaseFile& file, CaseCheck& check);

// What a case allows for logits. Rotary angles are float32 here, whatever the weights are: the tolerance of a
// float32 implementation holds.
Allowed logits_allowed(const CaseFile& file);

}  // namespace attnlab
