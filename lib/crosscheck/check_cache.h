// Cases of caches, by what they are about.
#pragma once

#include <memory>

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
// Of them transformers' own.
void check_transformers_cache(const CaseFile& file, CaseCheck& check);

// Whether it is about tokens that leave layers; then which ones each layer looks at and runs, and logits.
bool is_lazy(const CaseFile& file);
void check_lazy(const CaseFile& file, CaseCheck& check);

// What a case allows for logits. Rotary angles are float32 here, whatever the weights are: the tolerance of a
// float32 implementation holds.
Allowed logits_allowed(const CaseFile& file);

}  // namespace attnlab
