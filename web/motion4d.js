// Two things the nodes of this pack need on the page: a button to upload files that are no pictures, and their reports as text.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const PREFIX = "Motion4D_";

async function upload(file) {
  const form = new FormData();
  form.append("image", file); // ComfyUI's one upload route takes any file under this name
  const answer = await api.fetchApi("/upload/image", { method: "POST", body: form });
  if (answer.status !== 200) throw new Error(`${file.name} was not uploaded: ${answer.status} ${answer.statusText}`);
  const { name, subfolder } = await answer.json();
  return subfolder ? `${subfolder}/${name}` : name;
}

function addUploadButton(node, combo, suffixes) {
  const button = node.addWidget("button", `upload ${combo.name}`, null, () => {
    const picker = document.createElement("input");
    picker.type = "file";
    picker.accept = suffixes.join(",");
    picker.onchange = async () => {
      if (!picker.files.length) return;
      try {
        const name = await upload(picker.files[0]);
        if (!combo.options.values.includes(name)) combo.options.values.push(name);
        combo.value = name;
        combo.callback?.(name);
        node.setDirtyCanvas?.(true, true);
      } catch (error) {
        app.extensionManager?.toast?.add({ severity: "error", summary: "Motion4D", detail: error.message, life: 8000 });
      }
    };
    picker.click();
  });
  button.serialize = false; // not into the workflow file,
  button.options.serialize = false; // nor into the prompt
}

function showReport(node, text) {
  let area = node.motion4dReport;
  if (!area) {
    area = document.createElement("textarea");
    area.readOnly = true;
    area.className = "comfy-multiline-input";
    node.addDOMWidget("report", "motion4d_report", area, { serialize: false, hideOnZoom: false, getMinHeight: () => 120 }).serialize = false;
    node.motion4dReport = area;
    const [width, height] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  }
  area.value = text;
}

app.registerExtension({
  name: "Motion4D",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith(PREFIX)) return;
    const specs = { ...nodeData.input?.required, ...nodeData.input?.optional };
    const uploads = Object.entries(specs).filter(([, spec]) => spec[1]?.motion4d_upload);

    const created = nodeType.prototype.onNodeCreated;
    nodeType.prototype.onNodeCreated = function (...args) {
      created?.apply(this, args);
      for (const [name, spec] of uploads) {
        const combo = this.widgets?.find((widget) => widget.name === name);
        if (combo) addUploadButton(this, combo, spec[1].motion4d_upload);
      }
    };

    const executed = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message, ...rest) {
      executed?.call(this, message, ...rest);
      if (message?.text) showReport(this, [message.text].flat().join("\n"));
    };
  },
});
