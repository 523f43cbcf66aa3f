// --cache KEY=VALUE,… : how a program that generates keeps its caches, in the keys of eval.cache.
#pragma once

#include <string>

#include "program.h"
#include "state/cache_config.h"

namespace attnlab {

struct ModelForm;

// Adds --cache.
void add_cache_option(Program& program, std::string& cache);

// What the option's text says; "" is the default. Values are YAML: lists stand in brackets. `contexts`: what is
// asked may have a context that stands apart (behind: context). Throws InputError, worded as for eval.cache.
CacheConfig read_cache_option(const std::string& text, bool contexts = false);
// Notes keys without effect on standard error.
void note_idle_cache_keys(const CacheConfig& config);

// Throws InputError if a layer of the form can't keep its cache so.
void require_cache_for(const ModelForm& form, const CacheConfig& config);

}  // namespace attnlab
