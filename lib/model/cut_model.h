// A smaller decoder: what masks take out goes, what they scale goes into the weights that are left (Sheared
// LLaMA, arXiv 2310.06694).
#pragma once

#include "attention/variant.h"
#include "model/decoder_config.h"
#include "model/model_masks.h"

namespace attnlab {

struct CutModel {
  DecoderConfig config;
  TensorMap weights;  // of the decoder of that config, by its names
};

// GQA with dense MLPs. Indices with a mask of 0 go: heads with all their rows and columns (a KV head with its
// query heads), columns of MLPs, numbers of the stream, layers both of whose blocks are out (of a layer with
// one of them out, that block writes nothing). Masks of heads go into v_proj, of columns into up_proj, of
// blocks into o_proj and down_proj, of the stream into the embedding, the blocks' outputs and norms; and, as in
// public code, into the output matrix once more (`twice_in_head`), where the masked model has it in the last
// norm alone: with masks between 0 and 1 that is another function, with 0 and 1 the same.
//
// Throws InputError (key "masks") where layers would differ in their heads or columns, a KV head stays without
// all of its query heads, or nothing is left of something.
CutModel cut_model(const DecoderConfig& config, const TensorMap& weights, const ModelMasks& masks,
                   bool twice_in_head = false);

}  // namespace attnlab
