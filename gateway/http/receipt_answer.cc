#include "gateway/http/receipt_answer.h"

#include "base/core/encoding.h"
#include "base/core/json_text.h"

namespace tidegate::gateway {

std::string receipt_json(std::string_view request_id, std::string_view receipt) {
  std::string out = R"({"object":"receipt","request_id":)";
  append_json_text(out, request_id);
  out += R"(,"receipt":)";
  append_json_text(out, base64url_encode(receipt));
  return out + "}";
}

std::string receipt_keys_json(const std::vector<ReceiptArchive::Key>& keys) {
  std::string out = R"({"object":"list","keys":[)";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ReceiptArchive::Key& key = keys[i];
    out += i == 0 ? R"({"key_id":)" : R"(,{"key_id":)";
    append_json_text(out, key.key_id);
    out += R"(,"signer":)";
    append_json_text(out, key.signer);
    out += R"(,"deployment":)";
    append_json_text(out, key.deployment);
    out += R"(,"public_key":)";
    append_json_text(out, base64url_encode(key.public_key));
    out += R"(,"valid_from_us":)" + std::to_string(key.valid_from_us);
    out += R"(,"valid_to_us":)" + std::to_string(key.valid_to_us) + "}";
  }
  return out + "]}";
}

}  // namespace tidegate::gateway
