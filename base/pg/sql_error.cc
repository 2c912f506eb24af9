#include "base/pg/sql_error.h"

#include <pqxx/except>
#include <string>
#include <string_view>

#include "base/pg/pool.h"

namespace tidegate::pg {

namespace {

/// libpqxx 6 hides PG_DIAG_CONSTRAINT_NAME; the message quotes it: `... violates unique constraint "wallet_pkey"`.
std::string constraint_of(std::string_view message) {
  for (const std::string_view mark : {"constraint \"", "column \""}) {
    const auto start = message.find(mark);
    if (start == std::string_view::npos) continue;
    const auto from = start + mark.size();
    const auto end = message.find('"', from);
    if (end != std::string_view::npos) return std::string(message.substr(from, end - from));
  }
  return {};
}

/// PostgreSQL's first line; the rest quotes row contents, which belong to tenants.
std::string first_line(std::string_view message) {
  if (message.starts_with("ERROR:  ")) message.remove_prefix(8);
  return std::string(message.substr(0, message.find('\n')));
}

Fault broken(Phase phase, std::string_view why) {
  if (phase == Phase::kCommit) {
    return {{Code::kUnavailable, "in_doubt", "the database went away during the commit: " + first_line(why)},
            Fault::Remedy::kGiveUp};
  }
  return {{Code::kUnavailable, "database_unreachable", "the database is not reachable: " + first_line(why)},
          Fault::Remedy::kReconnect};
}

Fault violation(Code code, std::string reason, std::string_view message) {
  return {{code, std::move(reason), first_line(message), constraint_of(message)}, Fault::Remedy::kGiveUp};
}

Fault rolled_back(std::string reason, std::string_view message) {
  return {{Code::kAborted, std::move(reason), first_line(message)}, Fault::Remedy::kRetry};
}

Fault of_state(Phase phase, const std::string& state, std::string_view message) {
  if (state == "23505") return violation(Code::kAlreadyExists, "unique_violation", message);
  if (state == "23514") return violation(Code::kFailedPrecondition, "check_violation", message);
  if (state == "23503") return violation(Code::kFailedPrecondition, "foreign_key_violation", message);
  if (state == "23502") return violation(Code::kFailedPrecondition, "not_null_violation", message);
  if (state == "23P01") return violation(Code::kFailedPrecondition, "exclusion_violation", message);
  if (state == "55P03") return {{Code::kAborted, "lock_timeout", first_line(message)}, Fault::Remedy::kGiveUp};
  if (state == "57014") {
    return {{Code::kDeadlineExceeded, "statement_timeout", first_line(message)}, Fault::Remedy::kGiveUp};
  }
  // Shutdown, crash, still starting, idle too long, a standby after a failover, no connection slot left.
  if (state.starts_with("57P") || state.starts_with("08") || state == "25P03" || state == "25006" || state == "53300") {
    return broken(phase, message);
  }
  if (state.starts_with("53")) {
    return {{Code::kResourceExhausted, "database_resources", first_line(message)}, Fault::Remedy::kGiveUp};
  }
  return {{Code::kInternal, "database_error", "SQLSTATE " + state + ": " + first_line(message)}, Fault::Remedy::kGiveUp};
}

}  // namespace

Fault fault_of_current_exception(Phase phase, bool is_open) {
  try {
    throw;
  } catch (const pqxx::in_doubt_error& error) {
    return broken(Phase::kCommit, error.what());
  } catch (const pqxx::broken_connection& error) {
    return broken(phase, error.what());
  } catch (const pqxx::statement_completion_unknown& error) {
    return broken(Phase::kCommit, error.what());
  } catch (const pqxx::deadlock_detected& error) {  // class 40 is no sql_error in libpqxx
    return rolled_back("deadlock", error.what());
  } catch (const pqxx::transaction_rollback& error) {
    return rolled_back("serialization_failure", error.what());
  } catch (const pqxx::sql_error& error) {
    if (!error.sqlstate().empty()) return of_state(phase, error.sqlstate(), error.what());
    if (!is_open) return broken(phase, error.what());
    return {{Code::kInternal, "database_error", first_line(error.what())}, Fault::Remedy::kGiveUp};
  } catch (const std::exception& error) {
    if (!is_open) return broken(phase, error.what());
    return {{Code::kInternal, "database_error", first_line(error.what())}, Fault::Remedy::kGiveUp};
  } catch (...) {
    return {{Code::kInternal, "database_error", "an exception of unknown type"}, Fault::Remedy::kGiveUp};
  }
}

Error error_of_current_exception() { return fault_of_current_exception(Phase::kBody, true).error; }

}  // namespace tidegate::pg
