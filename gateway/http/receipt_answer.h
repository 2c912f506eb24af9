#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/ports.h"

namespace tidegate::gateway {

/// {"object":"receipt","request_id","receipt"}; `receipt` is the signed bytes.
std::string receipt_json(std::string_view request_id, std::string_view receipt);
/// {"object":"list","keys":[{"key_id","signer","deployment","public_key","valid_from_us","valid_to_us"}]}
std::string receipt_keys_json(const std::vector<ReceiptArchive::Key>& keys);

}  // namespace tidegate::gateway
