// A storage whose older tokens are coded (token_codec.h), with some as they came before and behind them.
#pragma once

#include <memory>

#include "state/token_codec.h"

namespace attnlab {

std::unique_ptr<TokenStorage> coded_storage(const StorageNeeds& needs, std::shared_ptr<const TokenCodec> codec,
                                            const CodingRule& rule);

}  // namespace attnlab
