#include "billing/adapters/ledger_store.h"

#include <fmt/format.h>

#include "base/core/encoding.h"
#include "base/pg/types.h"
#include "billing/adapters/change_log.h"
#include "billing/adapters/posting_store.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kTextMax = 512;

// By the caller's id alone: one id names one movement, of whatever kind.
constexpr const char* kFindRequest = R"sql(
  SELECT t.id, t.source_type, t.wallet_id, t.reverses, coalesce(sum(-e.amount) FILTER (WHERE a.kind = 'prepaid'), 0)
    FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account
   WHERE t.source_id = $1 AND t.source_type IN ('refund', 'credit_note', 'correction', 'reversal') GROUP BY t.id)sql";
constexpr const char* kFindTx = R"sql(
  SELECT t.source_type, t.wallet_id, (SELECT r.id FROM ledger_tx r WHERE r.reverses = t.id) FROM ledger_tx t WHERE t.id = $1)sql";
constexpr const char* kEntries = R"sql(
  SELECT a.kind, e.amount FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account WHERE e.tx = $1 ORDER BY e.line)sql";

Status check_words(const std::string& actor, const std::string& note) {
  const std::pair<const char*, const std::string*> words[] = {{"actor", &actor}, {"note", &note}};
  for (const auto& [field, text] : words) {
    if (text->empty() || text->size() > kTextMax || text->find('\0') != text->npos || !is_valid_utf8(*text)) {
      return fail(Code::kInvalidArgument, "bad_note",
                  fmt::format("{} is 1 to {} bytes of UTF-8: say who moves money and why", field, kTextMax), field);
    }
  }
  return {};
}

/// What the wallet's balance grows by.
Money effect_of(const Adjustment& request) {
  return request.kind == AdjustmentKind::kRefund ? -request.amount : request.amount;
}

AccountKind counter_account(AdjustmentKind kind) {
  return kind == AdjustmentKind::kRefund ? AccountKind::kCash : AccountKind::kRevenue;
}

Status check_available(const WalletRow& wallet, Money effect) {
  if (!(wallet.available() + effect).is_negative()) return {};
  return fail(
      Code::kFailedPrecondition, "insufficient_balance",
      fmt::format("{} {} are available in the wallet, {} more are leased to gateways; this takes {}",
                  wallet.available().to_string(), wallet.currency, wallet.leased.to_string(), (-effect).to_string()),
      "amount");
}

/// Writes the transaction, moves the balance, tells the gateways.
Result<Adjusted> book(pqxx::work& tx, LedgerTx transaction, Money effect, Wall now, UsageDimensions& dimensions) {
  const WalletId wallet = transaction.wallet;
  const Uuid id = transaction.id;
  write_ledger(tx, {std::move(transaction)}, now, dimensions);
  move_wallets(tx, {{wallet, effect, Money()}});
  append_changes(tx, ChangeKind::kWallet, {wallet.to_string()});
  TG_ASSIGN(auto row, find_wallet(tx, wallet));
  return Adjusted{id, std::move(row)};
}

std::unexpected<Error> differs(const Uuid& id) {
  return fail(Code::kAlreadyExists, "adjustment_differs",
              fmt::format("id {} was used for another movement of money; use a new id", id.to_string()), "request_id");
}

}  // namespace

std::string_view adjustment_name(AdjustmentKind kind) {
  switch (kind) {
    case AdjustmentKind::kRefund:
      return "refund";
    case AdjustmentKind::kCreditNote:
      return "credit_note";
    case AdjustmentKind::kCorrection:
      return "correction";
  }
  return "";
}

Result<Adjusted> adjust(pqxx::work& tx, const Adjustment& request, Wall now, UsageDimensions& dimensions) {
  TG_TRY(check_words(request.actor, request.note));
  if (request.amount.is_zero() || (request.amount.is_negative() && request.kind != AdjustmentKind::kCorrection)) {
    return fail(Code::kInvalidArgument, "bad_amount",
                fmt::format("a {} is greater than zero; only a correction may be negative, and then it charges",
                            adjustment_name(request.kind)),
                "amount");
  }
  // Under the wallet's lock, so that the same id twice at the same time is one movement.
  lock_wallets(tx, {request.wallet});
  TG_ASSIGN(const auto wallet, find_wallet(tx, request.wallet));
  const Money effect = effect_of(request);
  const auto before = tx.exec_params(kFindRequest, pg::to_sql(request.request_id));
  if (!before.empty()) {
    const auto& row = before[0];
    if (pg::read_text(row[1]) != adjustment_name(request.kind) || pg::read_id<WalletId>(row[2]) != request.wallet ||
        pg::read_money(row[4]) != effect) {
      return differs(request.request_id);
    }
    return Adjusted{pg::read_uuid(row[0]), wallet};
  }
  TG_TRY(check_available(wallet, effect));
  LedgerTx transaction{request.tx_id,
                       std::string(adjustment_name(request.kind)),
                       request.request_id.to_string(),
                       request.wallet,
                       wallet.currency,
                       now,
                       request.note,
                       std::nullopt,
                       {{AccountKind::kPrepaid, -effect, {}}, {counter_account(request.kind), effect, {}}},
                       {}};
  transaction.actor = request.actor;
  return book(tx, std::move(transaction), effect, now, dimensions);
}

Result<Adjusted> reverse(pqxx::work& tx, const Reversal& request, Wall now, UsageDimensions& dimensions) {
  TG_TRY(check_words(request.actor, request.note));
  const auto found = tx.exec_params(kFindTx, pg::to_sql(request.reverses));
  if (found.empty()) {
    return fail(Code::kNotFound, "unknown_transaction",
                fmt::format("there is no ledger transaction {}", request.reverses.to_string()), "tx_id");
  }
  const std::string source = pg::read_text(found[0][0]);
  if (source != "top_up" && source != "refund" && source != "credit_note" && source != "correction") {
    return fail(Code::kFailedPrecondition, "not_reversible",
                fmt::format("a {} is not reversed: re-rate usage, or post a correction", source), "tx_id");
  }
  const auto wallet_id = pg::read_id<WalletId>(found[0][1]);
  lock_wallets(tx, {wallet_id});
  TG_ASSIGN(const auto wallet, find_wallet(tx, wallet_id));
  const auto before = tx.exec_params(kFindRequest, pg::to_sql(request.request_id));
  if (!before.empty()) {
    if (pg::is_null(before[0][3]) || pg::read_uuid(before[0][3]) != request.reverses)
      return differs(request.request_id);
    return Adjusted{pg::read_uuid(before[0][0]), wallet};
  }
  const auto again = tx.exec_params(kFindTx, pg::to_sql(request.reverses));
  if (!pg::is_null(again[0][2])) {
    return fail(
        Code::kFailedPrecondition, "already_reversed",
        fmt::format("transaction {} was reversed by {}", request.reverses.to_string(), pg::read_text(again[0][2])),
        "tx_id");
  }
  LedgerTx transaction{request.tx_id,
                       "reversal",
                       request.request_id.to_string(),
                       wallet_id,
                       wallet.currency,
                       now,
                       request.note,
                       request.reverses,
                       {},
                       {}};
  transaction.actor = request.actor;
  Money effect;
  for (const auto& row : tx.exec_params(kEntries, pg::to_sql(request.reverses))) {
    const auto kind = parse_account_kind(pg::read_text(row[0]));
    if (!kind || *kind == AccountKind::kGrant) {
      return fail(Code::kFailedPrecondition, "not_reversible", "the transaction moved a grant: void or grant instead",
                  "tx_id");
    }
    const Money amount = pg::read_money(row[1]);
    transaction.entries.push_back({*kind, -amount, {}});
    if (*kind == AccountKind::kPrepaid) effect += amount;
  }
  TG_TRY(check_available(wallet, effect));
  return book(tx, std::move(transaction), effect, now, dimensions);
}

}  // namespace tidegate::billing
