#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

/// "671.0B", "24.6M"; "-" for 0: none, or not known.
std::string short_count(std::int64_t count, std::string_view unit) {
  if (count == 0) return "-";
  const bool is_large = count >= 1'000'000'000;
  return fmt::format("{:.1f}{}{}", static_cast<double>(count) / (is_large ? 1e9 : 1e6), unit.empty() ? "" : " ",
                     unit.empty() ? (is_large ? "B" : "M") : (is_large ? "GB" : "MB"));
}

Status models(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  if (arguments.has("catalogue")) {
    TG_ASSIGN(const auto list, connection.call(&v1::FleetAdmin::Stub::ListModels, connection.fleet(), v1::ListCatalogueRequest()));
    if (arguments.wants_json()) {
      fmt::print("{}\n", message_json(list));
      return {};
    }
    TextTable table({"MODEL", "VARIANT", "PRECISION", "PARAMETERS", "WEIGHTS", "KV/TOKEN", "CONTEXT", "CAN", "LICENCE",
                     "ENGINE"});
    for (const auto& model : list.models()) {
      for (const auto& variant : model.variants()) {
        const std::int64_t parameters = variant.parameters() > 0 ? variant.parameters() : model.parameters_published();
        table.add({model.name(), variant.name(), variant.precision(), short_count(parameters, ""),
                   short_count(variant.weight_bytes(), "B"), fmt::format("{} B", variant.kv_bytes_per_token()),
                   std::to_string(model.context_max()), fmt::format("{}", fmt::join(model.capabilities(), ", ")),
                   model.licence(), variant.engine()});
      }
    }
    fmt::print("{}", table.render());
    return {};
  }
  grpc::ClientContext context;
  connection.prepare_inference(context, arguments.option("key"));
  v1::ListModelsResponse list;
  const grpc::Status status = connection.inference().ListModels(&context, v1::ListModelsRequest(), &list);
  if (!status.ok()) return std::unexpected(Connection::to_error(status, context));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"MODEL", "CONTEXT", "BAND NOW", "CACHE HIT / 1M", "PROMPT / 1M", "OUTPUT / 1M"});
  for (const auto& model : list.models()) {
    table.add({model.id(), std::to_string(model.context_max()), model.band(), model.prompt_hit() + " " + model.currency(),
               model.prompt_miss() + " " + model.currency(), model.output() + " " + model.currency()});
  }
  fmt::print("{}", table.render());
  return {};
}

}  // namespace

std::vector<Command> model_commands() {
  return {{"models", "List the models a key may call with their price now, or the catalogue.", "[--key KEY] [--catalogue]",
           "  tidegate models\n  tidegate models --catalogue --json\n", {"key"}, {"catalogue"}, models}};
}

}  // namespace tidegate::cli
