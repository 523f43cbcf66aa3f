// What generate_sft's command line names.
#pragma once

#include <optional>
#include <string>

#include "eval/kept_replies.h"
#include "eval_inputs.h"
#include "text/chat.h"

namespace attnlab {

struct SftOptions {
  EvalOptions eval;
  std::string task, problems, chat, keep = "correct", form = "chat";
  int64_t cap = 4;
};

struct SftJob {
  TaskData data;
  KeepReplies keep = KeepReplies::correct;
  SftForm form = SftForm::chat;
  std::optional<ChatFormat> chat;
};

// Reads and checks all but the model. Throws InputError.
SftJob read_sft_job(const SftOptions& options);

}  // namespace attnlab
