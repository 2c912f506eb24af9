#include "cli/commands.h"

namespace tidegate::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> kAll = [] {
    std::vector<Command> all;
    for (auto* part : {status_commands, tenant_commands, key_commands, admin_key_commands,
                       certificate_commands, wallet_commands,
                       cap_commands, limit_commands, grant_commands, alert_commands, price_commands,
                       allowance_commands, model_commands, fit_commands, model_file_commands, deployment_commands, rollout_commands,
                       fleet_commands, chat_commands, usage_commands,
                       ledger_commands, adjustment_commands, invoice_commands, margin_commands, receipt_commands,
                       audit_commands, engine_commands, guard_commands,
                       fleet_place_commands, fleet_manifests_commands}) {
      for (Command& command : part()) all.push_back(std::move(command));
    }
    return all;
  }();
  return kAll;
}

}  // namespace tidegate::cli
