#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/transaction>
#include <span>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/core/result.h"
#include "base/receipt/receipt_check.h"
#include "billing/adapters/receipt_pack.h"
#include "billing/core/posting.h"
#include "billing/core/usage_event.h"

/// Receipts in the database. Everything runs in the caller's transaction.
namespace tidegate::billing {

/// What an epoch's next receipt must name; nullopt before the first.
using ReceiptLink = std::optional<Digest>;
/// A column of 32 bytes.
Digest read_link(const pqxx::field& field);

/// The receipts of a batch's new events, checked: each follows the one before it, names a key of this gateway, says
/// what its event says, and adds up. `events` are consecutive. Signatures are not verified here: that would cost more
/// than the rest of the batch; the receipt job does it. An epoch that has receipts goes on having them. Fails:
/// invalid_argument/bad_receipt; Error::field is "events[<index>].receipt".
Result<std::vector<ReceiptPack>> pack_receipts(const std::string& gateway, std::int64_t epoch, ReceiptLink& link,
                                               std::span<const UsageEvent> events, std::size_t first_index);
/// That the receipt's price is what billing rates. Fails as above.
Status check_receipt_price(const UsageEvent& event, const price::RatedRequest& rated, std::string_view currency,
                           std::size_t index);

/// One statement. Waits for a day being cut.
/// Fails: failed_precondition/foreign_key_violation for a key nobody registered.
void insert_receipts(pqxx::work& tx, const std::vector<ReceiptPack>& packs);

/// A gateway's or billing's current key. Another one retires the one before. Fails: invalid_argument/bad_key,
/// failed_precondition/receipt_key_taken (of another signer), failed_precondition/receipt_key_retired.
Status register_receipt_key(pqxx::work& tx, const std::string& signer, const std::string& deployment,
                            const std::string& public_key, Wall now);
struct ReceiptKeyRow {
  std::string key_id, signer, deployment, public_key;
  Wall valid_from;
  std::optional<Wall> valid_to;
};
/// All of them, newest first.
std::vector<ReceiptKeyRow> list_receipt_keys(pqxx::work& tx);
receipt::KeyRing to_ring(const std::vector<ReceiptKeyRow>& keys);

/// Where a request's receipt lies.
struct ReceiptPlace {
  std::int64_t batch = 0;  ///< id
  ReceiptPack pack;
  std::size_t offset = 0;  ///< in the pack
};
/// Fails: not_found/unknown_request (also for another tenant's), not_found/no_receipt (from before there were any).
Result<ReceiptPlace> find_receipt(pqxx::work& tx, const RequestId& request, const std::optional<TenantId>& tenant);
/// The receipt's bytes. Fails: data_loss/receipt_damaged.
Result<std::string> whole_receipt(const ReceiptPlace& place);

/// Batches with ids above `after` and up to `through`, ascending.
struct NumberedPack {
  std::int64_t id = 0;
  ReceiptPack pack;
};
/// A row of id, gateway_id, epoch, first_seq, last_seq, key_id, previous, bodies, signatures, signature_runs.
NumberedPack read_pack(const pqxx::row& row);
std::vector<NumberedPack> load_packs(pqxx::work& tx, std::int64_t after, std::int64_t through, int limit);

}  // namespace tidegate::billing
