// Figures of what is measured without a training run: conversions, norms, Gram matrices, decoding, fits.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "figure.h"
#include "results/measurements.h"

namespace attnlab {

// Heat maps of the Gram matrices of up-projections, of the first layer that was measured.
Figure gram(const Measurements& measured);
// Norm of each dimension of the keys before and after the rotation, per freqfold, over layers.
Figure key_norms(const Measurements& measured);
// Log-perplexity by the share of the keys' numbers from which rotary position was taken, per freqfold.
Figure rope_removal(const Measurements& measured);
// Norm of each dimension of K_nope and V before and after balancing, over layers.
Figure kv_balance(const Measurements& measured);
// Perplexity by the size of the cache, for PCA of weights and of activations, balanced and not.
Figure rank_perplexity(const Measurements& measured);
// A decoding step's time of GQA over that of MLA, and tokens per second at the largest batch, by context.
Figure decode_speedup(const Measurements& measured);
// Error of forms that are fitted to a random teacher, by step.
Figure expressiveness(const Measurements& measured);

// Quality against bytes per token of every way of keeping a cache, and the table of all.
Figure cache_methods(const Measurements& measured);

// Rows that one drawing is of, in the order in which they appear; `label` says what of.
template <class Row, class Label>
std::vector<std::pair<std::string, std::vector<Row>>> grouped(const std::vector<Row>& rows, Label label) {
  std::vector<std::pair<std::string, std::vector<Row>>> groups;
  for (const Row& row : rows) {
    const std::string name = label(row);
    auto found =
        std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == name; });
    if (found == groups.end()) found = groups.insert(groups.end(), {name, {}});
    found->second.push_back(row);
  }
  return groups;
}

// Whether the perplexities of the row, and so their logarithms, are numbers.
bool has_perplexity(const ConversionRow& row);
// The last part of a path: what the model is called in titles.
std::string short_name(const std::string& base);
// "NAME", or where there are several groups "NAME-GROUP" with characters that file names may hold.
std::string drawing_name(const std::string& name, const std::string& group, size_t groups);
// The value of `key` in "key=value key=value"; "" if it is not there.
std::string option_of(const std::string& options, const std::string& key);
// The same as a number; NaN if it is none.
double option_number(const std::string& options, const std::string& key);

}  // namespace attnlab
