#pragma once

#include <cstdint>
#include <map>
#include <pqxx/transaction>
#include <string>
#include <utility>

#include "base/receipt/receipt_check.h"
#include "billing/adapters/receipt_store.h"

namespace tidegate::billing {

/// Goes through stored receipts in the order of their rows and counts what is wrong with them: a chain that does not
/// link, a body that does not say what its usage event says, a signature that does not verify.
class ReceiptAudit {
 public:
  /// Verifies one signature in `verify_every` (chosen by the link, so by nobody); 1 = all of them, about 100 us each.
  ReceiptAudit(receipt::KeyRing keys, std::uint32_t verify_every)
      : keys_(std::move(keys)), verify_every_(verify_every) {}

  /// The links of the pack's receipts, in order; nothing when it is damaged.
  std::vector<Digest> add(pqxx::work& tx, const ReceiptPack& pack);

  std::int64_t receipts() const { return receipts_; }
  std::int64_t verified() const { return verified_; }
  std::int64_t differences() const { return differences_; }
  const std::string& example() const { return example_; }  ///< the first difference, as JSON
  void note(std::string_view what, std::string_view where);

 private:
  void check_link(pqxx::work& tx, const ReceiptPack& pack);
  void check_bodies(const ReceiptPack& pack, const std::vector<UnpackedReceipt>& receipts,
                    std::map<Uuid, receipt::Receipt>& by_request);
  void check_events(pqxx::work& tx, const std::map<Uuid, receipt::Receipt>& by_request);

  const receipt::KeyRing keys_;
  const std::uint32_t verify_every_;
  std::map<std::pair<std::string, std::int64_t>, std::pair<std::int64_t, Digest>> heads_;  ///< sequence and its link
  std::int64_t receipts_ = 0, verified_ = 0, differences_ = 0;
  std::string example_;
};

}  // namespace tidegate::billing
