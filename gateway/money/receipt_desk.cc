#include "gateway/money/receipt_desk.h"

#include <utility>

#include "base/receipt_event/event_receipt.h"

namespace tidegate::gateway {

ReceiptDesk::ReceiptDesk(ReceiptIssuer issuer, std::string gateway_id, std::uint64_t epoch, Digest head)
    : issuer_(std::move(issuer)), gateway_id_(std::move(gateway_id)), epoch_(epoch), head_(head) {}

Result<ReceiptDesk::DraftPtr> ReceiptDesk::attach(Record& record, const v1::UsageEvent& event) {
  if (!event.has_receipt()) return nullptr;
  TG_ASSIGN(const auto receipt, receipt_of(event, gateway_id_, epoch_));
  auto draft = std::make_shared<Draft>();
  draft->body = receipt::encode_body(receipt);
  record.seal = [this, draft](std::uint64_t sequence, std::string& payload) {
    draft->sequence = sequence;
    receipt::set_position(draft->body, sequence, head_);
    // Protobuf merges a message that comes in two pieces.
    v1::UsageEvent place;
    place.mutable_receipt()->set_previous(std::string(as_view(head_)));
    payload += place.SerializeAsString();
    head_ = receipt::link_of(draft->body);
  };
  return draft;
}

std::optional<Signature> ReceiptDesk::kept(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  const Kept& kept = kept_[sequence % kKeptMax];
  if (kept.sequence != sequence) return std::nullopt;
  return kept.signature;
}

void ReceiptDesk::keep(std::uint64_t sequence, const Signature& signature) {
  const std::lock_guard lock(mutex_);
  kept_[sequence % kKeptMax] = {sequence, signature};
}

std::string ReceiptDesk::sign(const Draft& draft) {
  std::optional<Signature> signature = kept(draft.sequence);
  if (!signature) {
    signature = receipt::signature_of(draft.body, issuer_.key);
    keep(draft.sequence, *signature);
  }
  return receipt::join(draft.body, issuer_.key.public_key().id(), as_view(*signature));
}

Status ReceiptDesk::complete(v1::UsageEvent& event) {
  if (!event.has_receipt()) return {};
  event.mutable_receipt()->set_key_id(issuer_.key.public_key().id());
  std::optional<Signature> signature = kept(event.sequence());
  if (!signature) {
    TG_ASSIGN(const auto receipt, receipt_of(event, gateway_id_, epoch_));
    signature = receipt::signature_of(receipt::encode_body(receipt), issuer_.key);
    keep(event.sequence(), *signature);
  }
  event.mutable_receipt()->set_signature(std::string(as_view(*signature)));
  return {};
}

Result<std::optional<Digest>> link_after(const v1::UsageEvent& event, const std::string& gateway_id,
                                         std::uint64_t epoch) {
  if (!event.has_receipt()) return std::optional<Digest>();
  TG_ASSIGN(const auto receipt, receipt_of(event, gateway_id, epoch));
  return std::optional<Digest>(receipt::link_of(receipt::encode_body(receipt)));
}

}  // namespace tidegate::gateway
