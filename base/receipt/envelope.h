#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/crypto/ed25519.h"
#include "base/receipt/group.h"

/// body | key id | Ed25519(body | key id), the two last as fields (fields.h). The body's first four letters
/// say what it is, so that a signature under one kind of thing never passes for another.
///
/// A body signed with others (group.h): "TGB1" | key id | signature | body, the first two as fields. No body begins so.
namespace tidegate::receipt {

struct Envelope {
  std::string body;
  std::string key_id;
  std::string signature;  ///< 64 bytes, or a place in a group
  bool is_grouped() const { return signature.size() != kSignatureBytes; }
};

/// Signs and joins.
std::string sign_body(std::string_view body, const Ed25519Key& key);
/// The signature alone.
Signature signature_of(std::string_view body, const Ed25519Key& key);
/// The same bytes as sign_body() from a signature made earlier, or those of one of a group. `key_id` has 16 bytes,
/// `signature` is one (is_signature()).
std::string join(std::string_view body, std::string_view key_id, std::string_view signature);
/// Takes apart, does not verify. Fails: invalid_argument/bad_receipt naming the field.
Result<Envelope> open_envelope(std::string_view bytes);
/// Fails: invalid_argument/wrong_key (another key's id), data_loss/bad_signature.
Status verify_signature(const Envelope& envelope, const Ed25519PublicKey& key);

}  // namespace tidegate::receipt
