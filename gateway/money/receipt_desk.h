#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/receipt/group.h"
#include "base/receipt/receipt.h"
#include "gateway/journal/record.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Who signs: the installation's name and this gateway's key.
struct ReceiptIssuer {
  std::string deployment;
  Ed25519Key key;
};

/// Receipts of one epoch. A receipt gets its place in the chain exactly where its FINAL gets its number, on the journal's
/// writer thread (a hash, a microsecond). What one commit brought to disk is signed there together, once, before anybody
/// hears of it (receipt::Group; a commit with one FINAL: a signature of its own), so nobody waits longer than for the commit.
/// Where a signature is no longer at hand, after a crash or for a billing far behind, the receipt is signed alone: the same
/// body and link, and as good a proof. So the chain's order is the journal's, no disk access is added, and whatever survives
/// a crash can be signed again.
class ReceiptDesk {
 public:
  /// `head` is the link of the last receipt of this epoch; zeros for a new one.
  ReceiptDesk(ReceiptIssuer issuer, std::string gateway_id, std::uint64_t epoch, Digest head = {});

  /// A signature: of a body alone, or a place in a group that is shared by its members.
  struct Proof {
    std::string alone;
    std::shared_ptr<const receipt::Group> group;  // shared_ptr: the members of a commit end at different times
    std::uint32_t index = 0;
    bool is_made() const { return group != nullptr || !alone.empty(); }
    std::string bytes() const { return group ? group->signature_of(index) : alone; }
  };
  /// A receipt on its way. Filled in by the journal's writer; read by the request after its FINAL is on disk.
  struct Draft {
    std::uint64_t sequence = 0;
    std::string body;
    Proof proof;  ///< made when its commit is signed
  };
  using DraftPtr = std::shared_ptr<Draft>;  // shared_ptr: the record and the request both hold it

  /// Gives the FINAL `record` of `event` a place in the chain once it gets its number. nullptr when the event
  /// has no ReceiptPart (it was journalled by an older program): then the record stays as it is. The desk
  /// outlives the journal. Fails: invalid_argument/bad_receipt for an event that cannot be read.
  Result<DraftPtr> attach(Record& record, const v1::UsageEvent& event);
  /// Signs what got its place since the last call. The writer's thread, once it is on disk: Journal::on_commit(). 20 us and
  /// 2 us for each.
  void sign_commit();
  /// The client's receipt. Any thread, after the FINAL is on disk.
  std::string sign(const Draft& draft);
  /// Adds key id and signature to an event that is being shipped. Fails: invalid_argument/bad_receipt.
  Status complete(v1::UsageEvent& event);

  const ReceiptIssuer& issuer() const { return issuer_; }
  const std::string& gateway_id() const { return gateway_id_; }
  std::uint64_t epoch() const { return epoch_; }

 private:
  /// Signatures for the shipper: as a rule 20 ms old, and as many as a busy gateway makes in some ten seconds for a
  /// billing that is behind. 4.7 MB, and at most as much again for trees.
  struct Kept {
    std::uint64_t sequence = 0;
    Proof proof;
  };
  static constexpr std::size_t kKeptMax = 65'536;

  Proof kept(std::uint64_t sequence);
  void keep(std::uint64_t sequence, const Proof& proof);
  std::string sign_alone(std::uint64_t sequence, std::string_view body);
  /// Of one commit, at most kGroupMax.
  void sign_group(std::span<const DraftPtr> drafts, std::span<const Digest> links);

  const ReceiptIssuer issuer_;
  const std::string gateway_id_;
  const std::uint64_t epoch_;
  // The journal's writer thread only.
  Digest head_;
  std::vector<DraftPtr> unsigned_;
  std::vector<Digest> unsigned_links_;

  std::mutex mutex_;
  std::vector<Kept> kept_ = std::vector<Kept>(kKeptMax);  // guarded by mutex_
};

/// The link after `event`, the last FINAL found in a journal. nullopt: it has no receipt.
Result<std::optional<Digest>> link_after(const v1::UsageEvent& event, const std::string& gateway_id,
                                         std::uint64_t epoch);

}  // namespace tidegate::gateway
