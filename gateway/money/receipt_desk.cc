#include "gateway/money/receipt_desk.h"

#include <algorithm>
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
    unsigned_.push_back(draft);
    unsigned_links_.push_back(head_);
  };
  return draft;
}

void ReceiptDesk::sign_commit() {
  const std::span<const DraftPtr> drafts(unsigned_);
  const std::span<const Digest> links(unsigned_links_);
  for (std::size_t i = 0; i < drafts.size(); i += receipt::kGroupMax) {
    const std::size_t count = std::min(receipt::kGroupMax, drafts.size() - i);
    sign_group(drafts.subspan(i, count), links.subspan(i, count));
  }
  unsigned_.clear();
  unsigned_links_.clear();
}

void ReceiptDesk::sign_group(std::span<const DraftPtr> drafts, std::span<const Digest> links) {
  if (drafts.size() == 1) {
    const Signature signature = receipt::signature_of(drafts[0]->body, issuer_.key);
    drafts[0]->proof.alone = as_view(signature);
  } else {
    const auto group = std::make_shared<const receipt::Group>(links, issuer_.key);
    for (std::uint32_t i = 0; i < group->size(); ++i) drafts[i]->proof = Proof{{}, group, i};
  }
  const std::lock_guard lock(mutex_);
  for (const DraftPtr& draft : drafts) keep(draft->sequence, draft->proof);
}

ReceiptDesk::Proof ReceiptDesk::kept(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  const Kept& found = kept_[sequence % kKeptMax];
  return found.sequence == sequence ? found.proof : Proof();
}

void ReceiptDesk::keep(std::uint64_t sequence, const Proof& proof) { kept_[sequence % kKeptMax] = {sequence, proof}; }

std::string ReceiptDesk::sign_alone(std::uint64_t sequence, std::string_view body) {
  const Signature signature = receipt::signature_of(body, issuer_.key);
  Proof proof;
  proof.alone = as_view(signature);
  const std::lock_guard lock(mutex_);
  keep(sequence, proof);
  return proof.alone;
}

std::string ReceiptDesk::sign(const Draft& draft) {
  const std::string signature = draft.proof.is_made() ? draft.proof.bytes() : sign_alone(draft.sequence, draft.body);
  return receipt::join(draft.body, issuer_.key.public_key().id(), signature);
}

Status ReceiptDesk::complete(v1::UsageEvent& event) {
  if (!event.has_receipt()) return {};
  event.mutable_receipt()->set_key_id(issuer_.key.public_key().id());
  const Proof proof = kept(event.sequence());
  if (proof.is_made()) {
    event.mutable_receipt()->set_signature(proof.bytes());
    return {};
  }
  TG_ASSIGN(const auto receipt, receipt_of(event, gateway_id_, epoch_));
  event.mutable_receipt()->set_signature(sign_alone(event.sequence(), receipt::encode_body(receipt)));
  return {};
}

Result<std::optional<Digest>> link_after(const v1::UsageEvent& event, const std::string& gateway_id,
                                         std::uint64_t epoch) {
  if (!event.has_receipt()) return std::optional<Digest>();
  TG_ASSIGN(const auto receipt, receipt_of(event, gateway_id, epoch));
  return std::optional<Digest>(receipt::link_of(receipt::encode_body(receipt)));
}

}  // namespace tidegate::gateway
