#pragma once

#include <pqxx/transaction>
#include <string>

#include "billing/adapters/usage_dimensions.h"
#include "billing/adapters/wallet_store.h"

/// Money that moves because a person says so. Every one is a transaction of its own; nothing stored is changed.
namespace tidegate::billing {

enum class AdjustmentKind : std::uint8_t {
  kRefund,      ///< money goes back to the customer: the balance falls, cash leaves
  kCreditNote,  ///< a charge is forgiven: the balance grows, revenue falls
  kCorrection,  ///< as a credit note; a negative amount charges instead
};
std::string_view adjustment_name(AdjustmentKind kind);

struct Adjustment {
  AdjustmentKind kind = AdjustmentKind::kCreditNote;
  WalletId wallet;
  Money amount;     ///< positive; of a correction not zero
  Uuid request_id;  ///< the caller's: the same id moves money once
  Uuid tx_id;
  std::string actor, note;  ///< who and why; both required
};
struct Adjusted {
  Uuid tx_id;
  WalletRow wallet;
};
/// Fails: not_found/unknown_wallet, invalid_argument/{bad_amount, bad_note}, failed_precondition/insufficient_balance
/// (the money is spent or leased), already_exists/adjustment_differs (the id was used for something else).
Result<Adjusted> adjust(pqxx::work& tx, const Adjustment& request, Wall now, UsageDimensions& dimensions);

struct Reversal {
  Uuid reverses;
  Uuid request_id;
  Uuid tx_id;
  std::string actor, note;
};
/// Posts the opposite of a top-up, refund, credit note or correction. Usage is re-rated, not reversed.
/// Fails: not_found/unknown_transaction, failed_precondition/{not_reversible, already_reversed, insufficient_balance},
/// invalid_argument/bad_note, already_exists/adjustment_differs.
Result<Adjusted> reverse(pqxx::work& tx, const Reversal& request, Wall now, UsageDimensions& dimensions);

}  // namespace tidegate::billing
