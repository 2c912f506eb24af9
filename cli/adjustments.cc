#include <fmt/format.h>

#include <cstdlib>

#include "base/core/ids.h"
#include "base/crypto/sha256.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"

namespace tidegate::cli {

namespace {

using Ledger = v1::Ledger::Stub;

/// Who moves money: --as, else who is logged in.
std::string actor_of(const Arguments& arguments) {
  const char* user = std::getenv("USER");
  return arguments.option("as", user == nullptr ? "" : user);
}

std::string id_of(const Arguments& arguments) {
  if (arguments.has("id")) return arguments.option("id");
  SystemClock clock;
  SystemEntropy entropy;
  return UuidV7Source(clock, entropy).next().to_string();
}

Status show_adjusted(const Arguments& arguments, const v1::AdjustResponse& answer) {
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(answer));
  } else {
    fmt::print("transaction {}: {} {} balance, {} available\n", answer.tx_id(), answer.wallet().balance(), answer.wallet().currency(),
               answer.wallet().available());
  }
  return {};
}

/// A negative amount looks like an option, so a charge is said in words: --charge, of corrections only.
Status adjust(const Arguments& arguments, v1::AdjustmentKind kind) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::AdjustRequest request;
  request.set_kind(kind);
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(const std::string amount, arguments.word(1, "AMOUNT"));
  request.set_amount(arguments.has("charge") ? "-" + amount : amount);
  TG_ASSIGN(*request.mutable_note(), arguments.required_option("note"));
  request.set_request_id(id_of(arguments));
  request.set_actor(actor_of(arguments));
  TG_ASSIGN(const auto answer, connection.call(&Ledger::Adjust, connection.ledger(), request));
  return show_adjusted(arguments, answer);
}

Status refund(const Arguments& arguments) { return adjust(arguments, v1::ADJUSTMENT_KIND_REFUND); }
Status credit_note(const Arguments& arguments) { return adjust(arguments, v1::ADJUSTMENT_KIND_CREDIT_NOTE); }
Status correct(const Arguments& arguments) { return adjust(arguments, v1::ADJUSTMENT_KIND_CORRECTION); }

Status reverse(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ReverseRequest request;
  TG_ASSIGN(*request.mutable_tx_id(), arguments.word(0, "TRANSACTION"));
  TG_ASSIGN(*request.mutable_note(), arguments.required_option("note"));
  request.set_request_id(id_of(arguments));
  request.set_actor(actor_of(arguments));
  TG_ASSIGN(const auto answer, connection.call(&Ledger::Reverse, connection.ledger(), request));
  return show_adjusted(arguments, answer);
}

Result<std::int64_t> required_instant(const Arguments& arguments, const char* name) {
  TG_ASSIGN(const std::string text, arguments.required_option(name));
  const auto at = parse_rfc3339(text);
  if (!at) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} is an instant as 2026-11-01T00:00:00Z, not '{}'", name, text), name);
  }
  return unix_micros(*at);
}

Status rerate(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::RerateRequest request;
  TG_ASSIGN(const auto from, required_instant(arguments, "from"));
  TG_ASSIGN(const auto to, required_instant(arguments, "to"));
  request.set_from_us(from);
  request.set_to_us(to);
  request.set_model(arguments.option("model"));
  request.set_dry_run(arguments.has("dry-run"));
  request.set_allow_debit(arguments.has("allow-debit"));
  request.set_run_id(request.dry_run() ? "" : id_of(arguments));
  request.set_actor(actor_of(arguments));
  request.set_note(arguments.option("note"));
  v1::RerateResponse answer;
  do {
    TG_ASSIGN(answer, connection.call(&Ledger::Rerate, connection.ledger(), request));
    // A dry run keeps no place to go on from: what the deadline allowed is the answer.
  } while (!answer.is_finished() && !request.dry_run());
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(answer));
    return {};
  }
  fmt::print("{}{} events rated again, {} changed, {} left because they would cost more, {} left without a price{}\n",
             request.dry_run() ? "dry run: " : "run " + answer.run_id() + ": ", answer.scanned(), answer.changed(), answer.dearer(),
             answer.unpriced(), answer.is_finished() ? "" : " (not finished: narrow the range)");
  for (const auto& total : answer.totals()) fmt::print("  {} {} -> {}\n", total.currency(), total.before(), total.after());
  return {};
}

}  // namespace

std::vector<Command> adjustment_commands() {
  const std::vector<std::string> options = {"id", "note", "as"};
  return {
      {"refund", "Pay money back to a customer: the balance falls. The same --id pays once.",
       "TENANT AMOUNT --note WHY [--id UUID] [--as WHO]", "  tidegate refund acme 25.00 --note 'order 1001 cancelled'\n", options, {}, refund},
      {"ledger credit", "Forgive a charge (credit note): the balance grows, revenue falls.",
       "TENANT AMOUNT --note WHY [--id UUID] [--as WHO]", "  tidegate ledger credit acme 3.50 --note 'outage of 20 November'\n", options, {},
       credit_note},
      {"ledger correct", "Correct a balance in the customer's favour, or with --charge against it.",
       "TENANT AMOUNT --note WHY [--charge] [--id UUID] [--as WHO]", "  tidegate ledger correct acme 0.25 --charge --note 'ticket 77'\n", options,
       {"charge"}, correct},
      {"ledger reverse", "Post the opposite of a top-up, refund, credit note or correction.",
       "TRANSACTION --note WHY [--id UUID] [--as WHO]",
       "  tidegate ledger reverse 019a9f00-0000-7000-8000-000000000001 --note 'booked twice'\n", options, {}, reverse},
      {"rerate", "Rate stored usage again with the prices published now; ratings in the past stay on record.",
       "--from INSTANT --to INSTANT --note WHY [--model MODEL] [--dry-run] [--allow-debit] [--id UUID] [--as WHO]",
       "  tidegate rerate --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --dry-run\n"
       "  tidegate rerate --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --note 'holiday was missing'\n",
       {"from", "to", "model", "note", "id", "as"}, {"dry-run", "allow-debit"}, rerate},
  };
}

}  // namespace tidegate::cli
