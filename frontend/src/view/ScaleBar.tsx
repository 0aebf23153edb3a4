/** A round length on the screen. */

import { useMap, useView } from "./context";
import { scaleBar } from "./numbers";
import classes from "./view.module.css";

export function ScaleBar() {
  const { mosaics } = useMap();
  const scale = useView((state) => state.view.scale);
  const { length, text } = scaleBar(scale, mosaics[0]?.pixel_size_um ?? null);
  return (
    <div className={classes.scalebar} role="img" aria-label={`Scale bar: ${text}`}>
      {text}
      <div style={{ width: length, marginTop: 2 }} />
    </div>
  );
}
