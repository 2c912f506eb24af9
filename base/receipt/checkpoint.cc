#include "base/receipt/checkpoint.h"

#include <cstring>

#include "base/receipt/fields.h"

namespace tidegate::receipt {
namespace {
constexpr std::string_view kCheckpointMagic = "TGC1";
}

std::string encode_body(const Checkpoint& checkpoint) {
  FieldWriter out(kCheckpointMagic);
  out.text(checkpoint.deployment);
  out.text(checkpoint.log);
  out.u64(checkpoint.size);
  out.bytes(as_view(checkpoint.root));
  out.i64(checkpoint.at_us);
  return out.take();
}

Result<SignedCheckpoint> decode_checkpoint(std::string_view bytes) {
  SignedCheckpoint out;
  TG_ASSIGN(out.envelope, open_envelope(bytes));
  FieldReader in(out.envelope.body, kCheckpointMagic);
  if (out.envelope.is_grouped()) in.refuse("signature", "a checkpoint is signed alone");
  out.checkpoint.deployment = in.text("deployment");
  out.checkpoint.log = in.text("log");
  out.checkpoint.size = in.u64("size");
  if (const auto root = in.exactly("root", out.checkpoint.root.size()); !root.empty()) {
    std::memcpy(out.checkpoint.root.data(), root.data(), root.size());
  }
  out.checkpoint.at_us = in.i64("at");
  TG_TRY(in.end());
  return out;
}

}  // namespace tidegate::receipt
