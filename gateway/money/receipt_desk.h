#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/receipt/receipt.h"
#include "gateway/journal/record.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Who signs: the installation's name and this gateway's key.
struct ReceiptIssuer {
  std::string deployment;
  Ed25519Key key;
};

/// Receipts of one epoch. A receipt gets its place in the chain exactly where its FINAL gets its number, on
/// the journal's writer thread (a hash, a microsecond); it is signed once the FINAL is on disk, on the
/// request's own thread or where it is shipped, whichever comes first, and again if the signature is no longer at hand:
/// Ed25519 gives the same bytes. So the chain's order is the journal's, no disk access is added, and whatever survives a crash
/// can be signed again.
class ReceiptDesk {
 public:
  /// `head` is the link of the last receipt of this epoch; zeros for a new one.
  ReceiptDesk(ReceiptIssuer issuer, std::string gateway_id, std::uint64_t epoch, Digest head = {});

  /// A receipt on its way. Filled in by the journal's writer; read by the request after its FINAL is on disk.
  struct Draft {
    std::uint64_t sequence = 0;
    std::string body;
  };
  using DraftPtr = std::shared_ptr<Draft>;  // shared_ptr: the record and the request both hold it

  /// Gives the FINAL `record` of `event` a place in the chain once it gets its number. nullptr when the event
  /// has no ReceiptPart (it was journalled by an older program): then the record stays as it is. The desk
  /// outlives the journal. Fails: invalid_argument/bad_receipt for an event that cannot be read.
  Result<DraftPtr> attach(Record& record, const v1::UsageEvent& event);
  /// The client's receipt. Any thread, after the FINAL is on disk. About 20 us.
  std::string sign(const Draft& draft);
  /// Adds key id and signature to an event that is being shipped. Fails: invalid_argument/bad_receipt.
  Status complete(v1::UsageEvent& event);

  const ReceiptIssuer& issuer() const { return issuer_; }
  const std::string& gateway_id() const { return gateway_id_; }
  std::uint64_t epoch() const { return epoch_; }

 private:
  /// Signatures made for clients or for billing, whoever came first, kept for the other: as a rule 20 ms, and as many as
  /// a busy gateway makes in some ten seconds for a billing that is behind. 4.7 MB.
  struct Kept {
    std::uint64_t sequence = 0;
    Signature signature{};
  };
  static constexpr std::size_t kKeptMax = 65'536;

  std::optional<Signature> kept(std::uint64_t sequence);
  void keep(std::uint64_t sequence, const Signature& signature);

  const ReceiptIssuer issuer_;
  const std::string gateway_id_;
  const std::uint64_t epoch_;
  Digest head_;  // the journal's writer thread only
  std::mutex mutex_;
  std::vector<Kept> kept_ = std::vector<Kept>(kKeptMax);  // guarded by mutex_
};

/// The link after `event`, the last FINAL found in a journal. nullopt: it has no receipt.
Result<std::optional<Digest>> link_after(const v1::UsageEvent& event, const std::string& gateway_id,
                                         std::uint64_t epoch);

}  // namespace tidegate::gateway
