"""Replies of Hugging Face transformers to prompts, for scripts that compare programs with it."""
import time

import torch
import transformers


def cut(text, stops):
    """The text up to the first of the stop strings."""
    places = [text.find(stop) for stop in stops if stop in text]
    return text[:min(places)] if places else text


class EndedRows(transformers.StoppingCriteria):
    """Ends a row whose new text holds a stop string. Only the last tokens are looked at."""

    def __init__(self, tokenizer, stops, prompt_tokens):
        self.tokenizer, self.stops, self.prompt_tokens = tokenizer, stops, prompt_tokens
        self.done = None
        self.back = 2 + max((len(stop) for stop in stops), default=0)

    def __call__(self, input_ids, scores, **_):
        if self.done is None:
            self.done = torch.zeros(input_ids.shape[0], dtype=torch.bool)
        tail = input_ids[:, max(self.prompt_tokens, input_ids.shape[1] - self.back):].tolist()
        going = [row for row in range(len(tail)) if not self.done[row]]
        for row, text in zip(going, self.tokenizer.batch_decode([tail[row] for row in going])):
            self.done[row] = any(stop in text for stop in self.stops)
        return self.done.to(input_ids.device)


class Replier:
    def __init__(self, model, dtype, device="cpu", threads=0):
        if threads:
            torch.set_num_threads(threads)
        self.device, self.threads = device, threads or torch.get_num_threads()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model, padding_side="left")
        kind = getattr(torch, dtype)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=kind).eval().to(device)
        eos = self.model.generation_config.eos_token_id or self.model.config.eos_token_id
        self.ends = list(eos) if isinstance(eos, (list, tuple)) else [eos]
        if self.tokenizer.eos_token_id is not None and self.tokenizer.eos_token_id not in self.ends:
            self.ends.append(self.tokenizer.eos_token_id)
        self.tokenizer.pad_token_id = self.ends[0]

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def machine(self):
        what = torch.cuda.get_device_name() if self.device == "cuda" else f"{self.threads} threads"
        return f"{what}, torch {torch.__version__}, transformers {transformers.__version__}"

    def batch(self, prompts, max_new_tokens, stops, ends=()):
        """Replies without special tokens, up to end token or stop string (that included)."""
        ends = self.ends + [end for end in ends if end not in self.ends]
        batch = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(self.device)
        width = batch.input_ids.shape[1]
        criteria = [EndedRows(self.tokenizer, stops, width)] if stops else []
        with torch.inference_mode():
            tokens = self.model.generate(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, do_sample=False, temperature=None,
                top_p=None, top_k=None, repetition_penalty=1.0, max_new_tokens=max_new_tokens, eos_token_id=ends,
                pad_token_id=self.ends[0], stopping_criteria=transformers.StoppingCriteriaList(criteria))
        rows = []
        for row in tokens[:, width:].tolist():
            end = min((row.index(token) for token in ends if token in row), default=len(row))
            rows.append(row[:end])
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def replies(self, prompts, batch, max_new_tokens, stops, ends=()):
        """Longest prompts first, results in the prompts' order."""
        order = sorted(range(len(prompts)), key=lambda i: -len(self.ids(prompts[i])))
        out = [""] * len(prompts)
        for first in range(0, len(order), batch):
            places = order[first:first + batch]
            for place, text in zip(places, self.batch([prompts[i] for i in places], max_new_tokens, stops, ends)):
                out[place] = text
        return out

    def best_batch(self, prompts, sizes, max_new_tokens, stops):
        """Of several sizes the one with most prompts a second, each on one batch."""
        if len(sizes) == 1:
            return sizes[0]
        self.batch(prompts[:2], 8, stops)  # kernels are loaded
        rates = {}
        for size in sizes:
            some = [prompts[i * len(prompts) // size] for i in range(min(size, len(prompts)))]
            try:
                start = time.perf_counter()
                self.batch(some, max_new_tokens, stops)
                rates[size] = len(some) / (time.perf_counter() - start)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
            print(f"transformers, batch {size}: {rates.get(size, 0):.2f} problems/s")
        return max(rates, key=rates.get)
