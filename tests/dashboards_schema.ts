// Do the types that Grafana publishes know everything that a board sets? The test writes each board
// beside this file as a literal, in which tsc allows no unknown name. What is left out has a default.
import type * as board from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as history from "@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as text from "@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// As JSON: enums of strings are strings, and nothing need be there.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]?: Json<T[K]> } : T;
type Property<T, Prefix extends string> = {
  [K in keyof T & string]: { id: `${Prefix}${K}`; value?: T[K] };
}[keyof T & string];
type Panel<Type, Options, Custom> = Omit<board.Panel, "type" | "options" | "fieldConfig"> & {
  type: Type;
  options: Options;
  fieldConfig?: {
    defaults: Omit<board.FieldConfig, "custom"> & { custom?: Custom };
    overrides: {
      matcher: board.MatcherConfig;
      properties: (Property<board.FieldConfig, ""> | Property<Custom, "custom.">)[];
    }[];
  };
};
type Panels =
  | Panel<"stat", stat.Options, {}>
  | Panel<"state-timeline", timeline.Options, timeline.FieldConfig>
  | Panel<"status-history", history.Options, history.FieldConfig>
  | Panel<"table", table.Options, table.FieldConfig>
  | Panel<"text", text.Options, {}>
  | Panel<"timeseries", timeseries.Options, timeseries.FieldConfig>;
// What the data source of Prometheus reads besides is in no published type.
type Annotation = Omit<board.AnnotationQuery, "target"> & {
  target: Record<string, unknown>;
  titleFormat: string;
  textFormat: string;
};
export type Board = Json<
  Omit<board.Dashboard, "panels" | "annotations"> & {
    panels: Panels[];
    annotations: { list: Annotation[] };
  }
>;
