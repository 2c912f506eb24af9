#include "base/receipt/envelope.h"

#include <fmt/format.h>

#include "base/receipt/fields.h"

namespace tidegate::receipt {
namespace {

constexpr std::string_view kGroupedMagic = "TGB1";
constexpr std::size_t kKeyIdBytes = 16;
constexpr std::size_t kTrailerBytes = kLengthBytes + kKeyIdBytes + kLengthBytes + kSignatureBytes;

std::string signed_part(std::string_view body, std::string_view key_id) {
  FieldWriter writer(body);
  writer.bytes(key_id);
  return writer.take();
}

/// The siblings lead from the body to a root, and that one was signed.
bool verify_place(const Envelope& envelope, const Ed25519PublicKey& key) {
  const auto place = read_group_place(envelope.signature);
  if (!place) return false;
  const auto root = merkle::root_through(group_leaf(sha256(envelope.body)), place->index, place->size, place->path);
  return root && key.verify(group_statement(*root, place->size, envelope.key_id), place->signature);
}

Result<Envelope> open_grouped(std::string_view bytes) {
  Envelope envelope;
  FieldReader in(bytes, kGroupedMagic);
  envelope.key_id = in.exactly("key_id", kKeyIdBytes);
  envelope.signature = in.bytes("signature", kGroupSignatureBytesMax);
  if (in.is_sound() && !read_group_place(envelope.signature)) in.refuse("signature", "it is no place in a group");
  if (in.is_sound() && in.rest().empty()) in.refuse("body", "it is missing");
  TG_TRY(in.status());
  envelope.body = in.rest();
  return envelope;
}

}  // namespace

Signature signature_of(std::string_view body, const Ed25519Key& key) {
  return key.sign(signed_part(body, key.public_key().id()));
}

std::string sign_body(std::string_view body, const Ed25519Key& key) {
  const Signature signature = signature_of(body, key);
  return join(body, key.public_key().id(), as_view(signature));
}

std::string join(std::string_view body, std::string_view key_id, std::string_view signature) {
  if (signature.size() == kSignatureBytes) {
    FieldWriter writer(signed_part(body, key_id));
    writer.bytes(signature);
    return writer.take();
  }
  FieldWriter writer(kGroupedMagic);
  writer.bytes(key_id);
  writer.bytes(signature);
  return writer.take().append(body);
}

Result<Envelope> open_envelope(std::string_view bytes) {
  if (bytes.starts_with(kGroupedMagic)) return open_grouped(bytes);
  if (bytes.size() <= kTrailerBytes) {
    return fail(Code::kInvalidArgument, "bad_receipt",
                fmt::format("it has {} bytes: too few even for a signature", bytes.size()));
  }
  Envelope envelope;
  envelope.body = bytes.substr(0, bytes.size() - kTrailerBytes);
  FieldReader trailer(bytes.substr(envelope.body.size()), "");
  envelope.key_id = trailer.exactly("key_id", kKeyIdBytes);
  envelope.signature = trailer.exactly("signature", kSignatureBytes);
  TG_TRY(trailer.end());
  return envelope;
}

Status verify_signature(const Envelope& envelope, const Ed25519PublicKey& key) {
  if (envelope.key_id != key.id()) {
    return fail(Code::kInvalidArgument, "wrong_key",
                fmt::format("it was signed by key {}, this is key {}", envelope.key_id, key.id()));
  }
  const bool is_proved = envelope.is_grouped()
                             ? verify_place(envelope, key)
                             : key.verify(signed_part(envelope.body, envelope.key_id), envelope.signature);
  if (!is_proved) {
    return fail(Code::kDataLoss, "bad_signature", "the signature does not fit the content: something was changed");
  }
  return {};
}

}  // namespace tidegate::receipt
