#pragma once

#include <vector>

#include "cli/command.h"

/// One function per file: the verbs it brings.
namespace tidegate::cli {

std::vector<Command> status_commands();
std::vector<Command> tenant_commands();
std::vector<Command> key_commands();
std::vector<Command> admin_key_commands();
std::vector<Command> certificate_commands();
std::vector<Command> wallet_commands();
std::vector<Command> cap_commands();
std::vector<Command> limit_commands();
std::vector<Command> grant_commands();
std::vector<Command> alert_commands();
std::vector<Command> price_commands();
std::vector<Command> allowance_commands();
std::vector<Command> model_commands();
std::vector<Command> fit_commands();
std::vector<Command> model_file_commands();
std::vector<Command> deployment_commands();
std::vector<Command> rollout_commands();
std::vector<Command> fleet_commands();
std::vector<Command> chat_commands();
std::vector<Command> usage_commands();
std::vector<Command> ledger_commands();
std::vector<Command> adjustment_commands();
std::vector<Command> receipt_commands();
std::vector<Command> invoice_commands();
std::vector<Command> margin_commands();
std::vector<Command> audit_commands();
std::vector<Command> engine_commands();
std::vector<Command> guard_commands();
std::vector<Command> fleet_place_commands();
std::vector<Command> fleet_manifests_commands();

}  // namespace tidegate::cli
