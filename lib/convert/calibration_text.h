// The tokens that a conversion looks at: rows for calibration, and others to measure on.
#pragma once

#include <filesystem>
#include <string>

#include "tensor/torch.h"
#include "text/tokenizer.h"

namespace attnlab {

struct CalibrationOptions {
  int64_t tokens = 32768;         // for calibration, at most
  int64_t row_length = 256;       // tokens of a row
  int64_t heldout_tokens = 4096;  // to measure on, at most
};

struct CalibrationRows {
  torch::Tensor calibration_NT, heldout_NT;  // int64; undefined: none
  std::string sha256;                        // of the file, or files
};

// A text file (one document; rows follow each other without overlap), a .jsonl with a "text" in each line, or a
// .safetensors with the ids themselves: calibration_ids or input_ids [N, T], perhaps eval_ids [M, T]. Held-out
// rows come from `heldout_path`, or else from eval_ids, or else from what follows the calibration rows in the
// same file (at least an eighth of a short one). Only as much of a text is read as is needed. Ids are checked
// against the vocabulary. `tokenizer` may be null for .safetensors. Throws InputError.
CalibrationRows read_calibration(const std::filesystem::path& path, const std::filesystem::path& heldout_path,
                                 const Tokenizer* tokenizer, int64_t vocab_size,
                                 const CalibrationOptions& options);

// Random ids [rows, length]: to compare models where there is no text.
torch::Tensor random_rows(int64_t vocab_size, int64_t rows, int64_t length, uint64_t seed);

}  // namespace attnlab
