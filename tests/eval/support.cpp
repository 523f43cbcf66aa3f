#include "support.h"

namespace attnlab::test {

DecoderConfig byte_config() {
  DecoderConfig config = small_config();
  config.vocab_size = eos_id + 1;
  return config;
}

std::vector<Example> ragged_problems() {
  return {{.prompt = "Ann has 3 cats and 4 dogs. Pets?\n", .answer = "3+4=7\n#### 7", .gold = "7"},
          {.prompt = "2*3?\n", .answer = "#### 6", .gold = "6"},
          {.prompt = "Ben: half of 50?\n", .answer = "50/2=25\n#### 25", .gold = "25"},
          {.prompt = "Nil?\n", .answer = "#### 0", .gold = "0"},
          {.prompt = "Cy owes 9, pays 9.\n", .answer = "#### 0", .gold = "0"},
          {.prompt = "Dee\n", .answer = "4\n#### 1,200", .gold = "1200"},
          {.prompt = "E walks 8 miles.\n", .answer = "8*1=8\n#### 8", .gold = "8"}};
}

std::vector<Batch> batches(BatchConfig config) {
  config.bos_id = bos_id;
  config.eos_id = config.pad_id = eos_id;
  return sequential_batches(ExampleList(ragged_problems()), *byte_tokenizer(), config);
}

}  // namespace attnlab::test
